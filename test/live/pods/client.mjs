// Requests over one kept-alive connection, one after the other. argv: URL without number, how many.
import http from 'node:http'
import https from 'node:https'

const [url, count] = process.argv.slice(2)
const { Agent, get } = url.startsWith('https:') ? https : http
const agent = new Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false })
for (let i = 1; i <= Number(count); i++) {
  await new Promise((done, failed) => {
    get(url.replace('N', String(i)), { agent }, (response) => response.resume().on('end', done)).on('error', failed)
  })
}
agent.destroy()
