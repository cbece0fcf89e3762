import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Exchange } from '../../../core/exchange.js'
import { PairingByOrder } from './by_order.js'

const NAMES = {
  protocol: 'p',
  responseLost: 'p.lost',
  responseAlone: 'p.alone',
  inferred: 'p.inferred',
  tooMany: 'p.many',
  headCut: 'p.cut',
  early: 'p.early',
}

/** `>a 1000` a request at that time, `<a 900` the answer to it, `?a 900` an answer of a kind that comes unasked. */
function pairs(...said: string[]): string[] {
  const out: string[] = []
  const name = (exchange: Exchange) =>
    `${exchange.resource || '-'}=${exchange.requestId || '-'}${exchange.complete ? '' : ' incomplete'}`
  const pairing = new PairingByOrder({ exchange: (exchange) => out.push(name(exchange)) }, NAMES)
  for (const each of said) {
    const [what, time] = each.split(' ')
    const timeUs = Number(time)
    if (what[0] === '>') {
      const pending = pairing.request(timeUs)
      Object.assign(pending.exchange, { resource: what[1], reqStartUs: timeUs, reqEndUs: timeUs })
      pairing.requestDone(pending)
    } else {
      const pending = pairing.response(timeUs, what[0] === '?')
      Object.assign(pending.exchange, { requestId: what[1], respStartUs: timeUs, respEndUs: timeUs })
      pairing.responseDone(pending)
    }
  }
  pairing.close('closed')
  return out
}

test('answers that were captured a moment before their requests: counted off as ever', () => {
  assert.deepEqual(pairs('>a 1000', '<a 2000', '<b 3000', '>b 3010', '>c 4000', '<c 5000'), ['a=a', 'b=b', 'c=c'])
  assert.deepEqual(pairs('>a 1000', '>b 1010', '<a 990', '<b 2000', '>c 3000', '<c 2995'), ['a=a', 'b=b', 'c=c'])
})

test('an answer long before a request, or of a kind that comes unasked, is not taken for its answer', () => {
  const apart = ['a=a', '-=x incomplete', 'b=- incomplete']
  assert.deepEqual(pairs('>a 1000', '<a 2000', '<x 3000', '>b 9000000'), apart)
  assert.deepEqual(pairs('>a 1000', '<a 2000', '?x 3000', '>b 3010'), apart)
})

test('of a crossing pair, what a server says unasked, a loss of requests and the end make nothing else', () => {
  assert.deepEqual(pairs('<a 990', '>a 1000', '?x 9000000'), ['a=a', '-=x incomplete'])
  assert.deepEqual(pairs('<a 990', '>a 1000', '>b 2000', '<b 1995', '>c 3000', '<c 4000'), ['a=a', 'b=b', 'c=c'])
  assert.deepEqual(pairs('<a 990', '>a 1000'), ['a=a'])
})

test('a further answer before another request: the one before it was too many', () => {
  const apart = ['-=x incomplete', 'a=a', 'b=b']
  assert.deepEqual(pairs('<x 990', '>a 1000', '<a 2000', '>b 2010', '<b 3000'), apart)
  assert.deepEqual(pairs('>a 1000', '<x 990', '<a 2000', '>b 2010', '<b 3000'), apart)
})
