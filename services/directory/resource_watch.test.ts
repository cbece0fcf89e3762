import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DrivenClock } from '../../test/fakes/clock.js'
import {
  ApiError,
  type KubernetesApi,
  type ListPage,
  type WatchEvent,
  type WatchHandler,
} from '../core/ports/kubernetes.js'
import { type ResourceEvents, ResourceWatch } from './resource_watch.js'

type Answer = ListPage | readonly WatchEvent[] | Error

/** Answers calls in turn with what it was given; stops the watch when nothing is left. */
class Script implements KubernetesApi {
  readonly calls: string[] = []
  readonly #answers: Answer[]
  readonly stop = new AbortController()

  constructor(...answers: Answer[]) {
    this.#answers = answers
  }

  async list(_path: string, query: Readonly<Record<string, string>>): Promise<ListPage> {
    return this.#next(`list ${query.continue ?? ''}`.trim()) as ListPage
  }

  async watch(_path: string, query: Readonly<Record<string, string>>, handler: WatchHandler): Promise<void> {
    const events = this.#next(`watch ${query.resourceVersion}`) as readonly WatchEvent[]
    handler.opened()
    for (const event of events) handler.event(event)
  }

  #next(call: string): Answer {
    const answer = this.#answers.shift()
    if (answer === undefined) {
      this.stop.abort()
      throw new ApiError(0, 'stopped')
    }
    this.calls.push(call)
    if (answer instanceof Error) throw answer
    return answer
  }
}

const object = (name: string, resourceVersion = '') => ({ metadata: { name, resourceVersion } })
const page = (names: readonly string[], resourceVersion: string, next = ''): ListPage => ({
  items: names.map((name) => object(name)),
  resourceVersion,
  next,
})

async function follow(api: Script): Promise<string[]> {
  const said: string[] = []
  const events: ResourceEvents = {
    seen: (each) => {
      const name = (each as { metadata?: { name?: string } } | null)?.metadata?.name ?? null
      said.push(name === null ? 'unreadable' : `+${name}`)
      return name
    },
    gone: (key) => said.push(`-${key}`),
    synced: () => said.push('synced'),
    failed: (error) => {
      if (error.message !== 'stopped') said.push(`failed ${error.status}`)
    },
  }
  const watch = new ResourceWatch({ api, path: '/pods', clock: new DrivenClock(), events })
  await watch.run(api.stop.signal)
  return said
}

test('pages, then a watch from there, which is resumed where its last event or bookmark was', async () => {
  const api = new Script(
    page(['a', 'b'], '', 'p2'),
    page(['c'], '7'),
    [
      { type: 'ADDED', object: object('d', '8') },
      { type: 'DELETED', object: object('a', '9') },
    ],
    [{ type: 'BOOKMARK', object: object('', '20') }],
    new ApiError(0, 'connection lost'),
    [{ type: 'MODIFIED', object: object('d', '21') }],
  )
  assert.deepEqual(await follow(api), ['+a', '+b', '+c', 'synced', '+d', '+a', '-a', 'failed 0', '+d'])
  assert.deepEqual(api.calls, ['list', 'list p2', 'watch 7', 'watch 9', 'watch 20', 'watch 20'])
})

test('410: a new list tells what is there, and what is not in it is gone', async () => {
  const api = new Script(
    page(['a', 'b'], '7'),
    [{ type: 'ADDED', object: object('c', '8') }],
    new ApiError(410, 'too old resource version'),
    page(['b', 'd'], '50'),
    [],
  )
  assert.deepEqual(await follow(api), ['+a', '+b', 'synced', '+c', 'failed 410', '+b', '+d', '-a', '-c', 'synced'])
  assert.deepEqual(api.calls, ['list', 'watch 7', 'watch 8', 'list', 'watch 50'])
})

test('410 in the middle of the pages begins the list again', async () => {
  const api = new Script(page(['a'], '', 'p2'), new ApiError(410, 'expired'), page(['a', 'b'], '9'), [])
  assert.deepEqual(await follow(api), ['+a', 'failed 410', '+a', '+b', 'synced'])
})

test('an outage, a refusal and garbage end nothing', async () => {
  const api = new Script(
    new ApiError(401, 'token expired'),
    new ApiError(500, 'etcd'),
    { items: [null, 'x', object('a')], resourceVersion: '3', next: '' },
    [
      { type: 'MODIFIED', object: 7 },
      { type: 'ADDED', object: object('b', '4') },
    ],
    [],
  )
  assert.deepEqual(await follow(api), [
    'failed 401',
    'failed 500',
    'unreadable',
    'unreadable',
    '+a',
    'synced',
    'unreadable',
    '+b',
  ])
})

test('what only a list that broke off has told of, and is not in the next one, is gone', async () => {
  const api = new Script(
    page(['a', 'b'], '', 'p2'),
    new ApiError(410, 'the continue parameter is too old'),
    page(['a'], '5'),
    [],
  )
  assert.deepEqual(await follow(api), ['+a', '+b', 'failed 410', '+a', '-b', 'synced'])
})
