import type { Random } from '../../../services/core/random.js'
import type { Conversation } from './conversation.js'
import { GrpcConversation } from './grpc.js'
import { Http1Conversation } from './http1.js'
import { PostgresqlConversation } from './postgresql.js'
import { RedisConversation } from './redis.js'

/** As flows name them. */
export const TALKS = ['http1', 'grpc', 'postgresql', 'redis'] as const
export type Talk = (typeof TALKS)[number]

export const PORTS: Readonly<Record<Talk, number>> = { http1: 8080, grpc: 50_051, postgresql: 5432, redis: 6379 }

/** `name` stands in paths and hosts of those that have some. */
export function conversation(talk: Talk, random: Random, name: string): Conversation {
  switch (talk) {
    case 'http1':
      return new Http1Conversation(random, name)
    case 'grpc':
      return new GrpcConversation(random, name)
    case 'postgresql':
      return new PostgresqlConversation(random)
    case 'redis':
      return new RedisConversation(random)
  }
}
