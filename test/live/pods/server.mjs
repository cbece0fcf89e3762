// A service of a pod: HTTP/1.1 and HTTP/2 over TLS, plain HTTP/1.1. `/…?ms=N` is answered after N ms. Ends with its input.
// argv: folder of key and certificate, address, TLS port, plain port.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createSecureServer } from 'node:http2'

const [folder, address, tlsPort, plainPort] = process.argv.slice(2)
const answer = (request, response) => {
  const ms = Number(new URL(request.url, 'http://x').searchParams.get('ms'))
  setTimeout(() => response.end(`answer to ${request.url}\n`), ms)
}
const tls = { key: readFileSync(`${folder}/key.pem`), cert: readFileSync(`${folder}/cert.pem`), allowHTTP1: true }
const servers = [
  [createSecureServer(tls, answer), tlsPort],
  [createServer(answer), plainPort],
].filter(([, port]) => port !== '0')
for (const [server, port] of servers) await new Promise((done) => server.listen(port, address, done))
process.stdin.on('end', () => process.exit(0)).resume()
console.log('ready')
