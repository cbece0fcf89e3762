/**
 * Judges what was decoded of a damaged run by what the whole run gave. A value may be missing after a loss; it may not be
 * another one, nor stand beside what it does not belong to.
 */
import type { Exchange, HeaderList } from '../../core/exchange.js'

/**
 * `invented`: a request or an answer that the whole run does not have. `mispaired`: both were there, apart. `overstated`:
 * called complete, and not equal to what the whole run has.
 */
export type Fault = 'invented' | 'mispaired' | 'overstated'

export function faultOf(seen: Exchange, whole: readonly Exchange[]): Fault | null {
  const asked = seen.reqStartUs !== 0
  const answered = seen.respStartUs !== 0
  const requests = asked ? whole.filter((each) => sameRequest(seen, each)) : []
  const answers = answered ? whole.filter((each) => sameAnswer(seen, each)) : []
  if (asked && requests.length === 0) return 'invented'
  if (answered && answers.length === 0) return 'invented'
  const both = asked && answered ? requests.filter((each) => answers.includes(each)) : [...requests, ...answers]
  // What the whole run itself left apart may belong together.
  const apart = requests.some((each) => each.respStartUs === 0) && answers.some((each) => each.reqStartUs === 0)
  if (both.length === 0 && (asked || answered)) return apart ? null : 'mispaired'
  if (seen.complete && asked && answered && !both.some((each) => equals(seen, each))) return 'overstated'
  return null
}

/** Empty is unknown. */
const known = (seen: string, whole: string): boolean => seen === '' || seen === whole

function sameRequest(seen: Exchange, whole: Exchange): boolean {
  return (
    overlap(seen.reqStartUs, seen.reqEndUs, whole.reqStartUs, whole.reqEndUs) &&
    known(seen.method, whole.method) &&
    known(seen.host, whole.host) &&
    (known(seen.resource, whole.resource) || (seen.truncated && whole.resource.startsWith(seen.resource))) &&
    headersAmong(seen.reqHeaders, whole.reqHeaders)
  )
}

function sameAnswer(seen: Exchange, whole: Exchange): boolean {
  return (
    overlap(seen.respStartUs, seen.respEndUs, whole.respStartUs, whole.respEndUs) &&
    (seen.statusCode === 0 || seen.statusCode === whole.statusCode) &&
    known(seen.error, whole.error) &&
    headersAmong(seen.respHeaders, whole.respHeaders)
  )
}

function overlap(from: number, to: number, wholeFrom: number, wholeTo: number): boolean {
  return wholeFrom !== 0 && from <= Math.max(wholeFrom, wholeTo) && wholeFrom <= Math.max(from, to)
}

function headersAmong(seen: HeaderList, whole: HeaderList): boolean {
  for (let i = 0; i < seen.length; i += 2) {
    let found = false
    for (let j = 0; j < whole.length && !found; j += 2) found = whole[j] === seen[i] && whole[j + 1] === seen[i + 1]
    if (!found) return false
  }
  return true
}

function equals(seen: Exchange, whole: Exchange): boolean {
  return (
    seen.method === whole.method &&
    seen.resource === whole.resource &&
    seen.statusCode === whole.statusCode &&
    seen.reqBytes === whole.reqBytes &&
    seen.respBytes === whole.respBytes &&
    seen.reqStartUs === whole.reqStartUs &&
    seen.respStartUs === whole.respStartUs
  )
}

/** The times of the first and the last byte of what was seen of an exchange. */
export function spanUs({ reqStartUs, reqEndUs, respStartUs, respEndUs }: Exchange): { first: number; last: number } {
  const starts = [reqStartUs, respStartUs].filter((time) => time !== 0)
  return { first: Math.min(...starts), last: Math.max(reqStartUs, reqEndUs, respStartUs, respEndUs) }
}

/** Both found, together or apart: what began after a loss has nothing to do with it. */
export function foundAgain(whole: Exchange, seen: readonly Exchange[]): { request: boolean; answer: boolean } {
  const { reqStartUs, respStartUs } = whole
  return {
    request: reqStartUs === 0 || seen.some((each) => each.reqStartUs === reqStartUs && sameRequest(each, whole)),
    answer: respStartUs === 0 || seen.some((each) => each.respStartUs === respStartUs && sameAnswer(each, whole)),
  }
}
