/** Numbers of DNS and their names (IANA "Domain Name System Parameters"). */

const TYPES: Readonly<Record<number, string>> = Object.fromEntries(
  (
    '1 A,2 NS,3 MD,4 MF,5 CNAME,6 SOA,7 MB,8 MG,9 MR,10 NULL,11 WKS,12 PTR,13 HINFO,14 MINFO,15 MX,16 TXT,17 RP,18 AFSDB,' +
    '19 X25,20 ISDN,21 RT,22 NSAP,23 NSAP-PTR,24 SIG,25 KEY,26 PX,27 GPOS,28 AAAA,29 LOC,30 NXT,31 EID,32 NIMLOC,33 SRV,' +
    '34 ATMA,35 NAPTR,36 KX,37 CERT,38 A6,39 DNAME,40 SINK,41 OPT,42 APL,43 DS,44 SSHFP,45 IPSECKEY,46 RRSIG,47 NSEC,' +
    '48 DNSKEY,49 DHCID,50 NSEC3,51 NSEC3PARAM,52 TLSA,53 SMIMEA,55 HIP,56 NINFO,57 RKEY,58 TALINK,59 CDS,60 CDNSKEY,' +
    '61 OPENPGPKEY,62 CSYNC,63 ZONEMD,64 SVCB,65 HTTPS,66 DSYNC,99 SPF,100 UINFO,101 UID,102 GID,103 UNSPEC,104 NID,105 L32,' +
    '106 L64,107 LP,108 EUI48,109 EUI64,249 TKEY,250 TSIG,251 IXFR,252 AXFR,253 MAILB,254 MAILA,255 ANY,256 URI,257 CAA,' +
    '258 AVC,259 DOA,260 AMTRELAY,261 RESINFO,32768 TA,32769 DLV,65281 WINS,65282 WINS-R'
  )
    .split(',')
    .map((entry) => entry.split(' ')),
)

/** RFC 3597 names the unknown ones: `TYPE1234`. */
export function typeName(type: number): string {
  return TYPES[type] ?? `TYPE${type}`
}

export function isKnownType(type: number): boolean {
  return TYPES[type] !== undefined
}

const CLASSES: Readonly<Record<number, string>> = { 1: 'IN', 2: 'CS', 3: 'CH', 4: 'HS', 254: 'NONE', 255: 'ANY' }

export function className(value: number): string {
  return CLASSES[value] ?? `CLASS${value}`
}

export function isKnownClass(value: number): boolean {
  return CLASSES[value] !== undefined
}

const RCODES =
  'NOERROR FORMERR SERVFAIL NXDOMAIN NOTIMP REFUSED YXDOMAIN YXRRSET NXRRSET NOTAUTH NOTZONE DSOTYPENI'.split(' ')
const MORE_RCODES: Readonly<Record<number, string>> = {
  16: 'BADVERS',
  17: 'BADKEY',
  18: 'BADTIME',
  19: 'BADMODE',
  20: 'BADNAME',
  21: 'BADALG',
  22: 'BADTRUNC',
  23: 'BADCOOKIE',
}

export function rcodeName(rcode: number): string {
  return RCODES[rcode] ?? MORE_RCODES[rcode] ?? `RCODE${rcode}`
}

export const QUERY = 0
export const IQUERY = 1
export const NOTIFY = 4
export const UPDATE = 5

const OPCODES: Readonly<Record<number, string>> = {
  0: 'QUERY',
  1: 'IQUERY',
  2: 'STATUS',
  4: 'NOTIFY',
  5: 'UPDATE',
  6: 'DSO',
}

export function opcodeName(opcode: number): string {
  return OPCODES[opcode] ?? `OPCODE${opcode}`
}

export function isKnownOpcode(opcode: number): boolean {
  return OPCODES[opcode] !== undefined
}
