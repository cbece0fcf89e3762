/** What a person who mistyped a name probably meant. */

/** One that begins with or holds what was typed, else the one with the fewest letters to change. */
export function nearest(typed: string, names: readonly string[]): string {
  const costs = names.map((name) => {
    if (typed.length > 1 && name.startsWith(typed)) return 0
    if (typed.length > 2 && name.includes(typed)) return 0.5
    return distance(typed.toLowerCase(), name)
  })
  return names[costs.indexOf(Math.min(...costs))]
}

/** Letters to insert, remove or replace (Levenshtein). */
function distance(a: string, b: string): number {
  let above = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const row = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = above[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1)
      row.push(Math.min(replaced, above[j] + 1, row[j - 1] + 1))
    }
    above = row
  }
  return above[b.length]
}
