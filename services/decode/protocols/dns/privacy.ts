import type { Privacy } from '../../../core/protocol.js'

/** Names and addresses are what DNS traffic is about, and stay. Free texts of TXT and the like do not. */
export const DNS_PRIVACY: Privacy = {
  maskResource: (resource) => resource,
  attrsKept: new Set([
    'dns.additionals',
    'dns.answer_count',
    'dns.answers',
    'dns.authorities',
    'dns.class',
    'dns.extended_error',
    'dns.flags',
    'dns.id',
    'dns.opcode',
    'dns.retry',
  ]),
}
