import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Random } from '../core/random.js'
import { endpointOf } from './endpoints.js'

const TEMPLATES: readonly (readonly [string, string])[] = [
  ['', ''],
  ['*', '*'],
  ['/', '/'],
  ['/items/42', '/items/{id}'],
  ['/items/42/', '/items/{id}/'],
  ['/items/42?page=1#top', '/items/{id}'],
  ['/v1/items', '/v1/items'],
  ['/api/v2/users/7/orders/8', '/api/v2/users/{id}/orders/{id}'],
  ['42', '{id}'],
  ['/a;jsessionid=77', '/a'],
  ['http://shop.example/items/42', '/items/{id}'],
  ['http://shop.example', '/'],
  ['/o/0f8fad5b-d9cb-469f-a165-70867728950e', '/o/{uuid}'],
  ['/o/0F8FAD5BD9CB469FA16570867728950E', '/o/{uuid}'],
  ['/d/2026-11-24', '/d/{date}'],
  ['/c/deadbeef01', '/c/{hex}'],
  ['/u/bob@shop.example', '/u/{email}'],
  ['/u/bob%40shop.example', '/u/{email}'],
  ['/u/100%25', '/u/100%25'],
  ['/static/app.3f9a2c1b.js', '/static/app.{hash}.js'],
  ['/jobs/job-1234', '/jobs/job-{id}'],
  ['/t/aB3dE6gH9jK2mN5pQ8', '/t/{token}'],
  ['/price/12.50', '/price/{id}'],
  ['/a/b/c/d/e/f/g/h/i/j/k', '/a/b/c/d/e/f/g/h/i/j/k'],
  ['/a/b/c/d/e/f/g/h/i/j/k/l', '/a/b/c/d/e/f/g/h/i/j/k/…'],
  ['/1/2/3/4/5/6/7/8/9/10/11/12', '/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/{id}/…'],
]

test('targets and their templates', () => {
  for (const [target, template] of TEMPLATES) assert.equal(endpointOf(target), template, target)
})

test('a template has a greatest length', () => {
  assert.equal(endpointOf(`/${'x'.repeat(5000)}`).length, 201)
})

test('a template is made part by part, whatever was asked for before', () => {
  const random = new Random(3)
  const words = [
    '',
    'a',
    'v1',
    'items',
    '{id}',
    '42',
    '7',
    'b%20c',
    'job-1234',
    'deadbeef01',
    'bob@shop.example',
    '12.50',
  ]
  const tails = ['', '?q=/1/2', '#42', ';v=1']
  for (let i = 0; i < 20_000; i++) {
    const parts = Array.from({ length: 1 + random.below(4) }, () => random.pick(words))
    const template = parts.map((part) => endpointOf(part)).join('/')
    assert.equal(endpointOf(`/${parts.join('/')}${random.pick(tails)}`), `/${template}`)
  }
})
