// For node --test: shows failures, skips with their reason, and the figures that tests report; ends with the counts.
export default async function* reporter(source) {
  let pass = 0
  let fail = 0
  let skipped = 0
  for await (const { type, data } of source) {
    if (
      type === 'test:diagnostic' &&
      data.nesting > 0 === false &&
      !/^(tests|suites|pass|fail|cancelled|skipped|todo|duration_ms) /.test(data.message)
    ) {
      yield `  ${data.message}\n`
    }
    if (data?.details?.type === 'suite') continue
    if (type === 'test:pass') {
      if (data.skip !== undefined) {
        skipped += 1
        yield `  skipped: ${data.name}${typeof data.skip === 'string' ? ` (${data.skip})` : ''}\n`
      } else pass += 1
    } else if (type === 'test:fail') {
      fail += 1
      const error = data.details.error
      yield `  FAILED: ${data.name}\n${String(error?.cause?.stack ?? error?.stack ?? error).replace(/^/gm, '    ')}\n`
    }
  }
  yield `counts ${pass} ${fail} ${skipped}\n`
}
