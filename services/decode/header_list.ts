import type { HeaderList } from '../core/exchange.js'

/** Repeated fields are joined with ', ' as RFC 9110 section 5.3 allows; cookies, which HTTP/2 cuts up, as RFC 9113 section 8.2.3 says. */
export function eachOnce(list: HeaderList): HeaderList {
  if (list.length > COMPARED_MAX) return joined(list)
  for (let i = 2; i < list.length; i += 2) {
    for (let j = 0; j < i; j += 2) if (list[i] === list[j]) return joined(list)
  }
  return list
}

/** Longer lists are put into a map at once: comparing each name with each would take too long. */
const COMPARED_MAX = 48

function joined(list: HeaderList): HeaderList {
  const values = new Map<string, string>()
  for (let i = 0; i < list.length; i += 2) {
    const before = values.get(list[i])
    const between = list[i] === 'cookie' ? '; ' : ', '
    values.set(list[i], before === undefined ? list[i + 1] : `${before}${between}${list[i + 1]}`)
  }
  return [...values].flat()
}
