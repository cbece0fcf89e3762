/** Versions, groups and alerts by number. */

/** Version of TLS or DTLS as a column value, `''` where it is none. Drafts of 1.3 keep their number: `TLSv1.3-draft23`. */
export function versionName(version: number): string {
  const known = VERSIONS.get(version)
  if (known !== undefined) return known
  // Facebook ran drafts of its own beside those of the working group.
  if (version >> 8 === 0xfb) return `TLSv1.3-fb${version & 0xff}`
  return version >> 8 === 0x7f ? `TLSv1.3-draft${version & 0xff}` : ''
}

const VERSIONS = new Map([
  [0x0002, 'SSLv2'],
  [0x0100, 'DTLSv1.0'],
  [0x0300, 'SSLv3'],
  [0x0301, 'TLSv1.0'],
  [0x0302, 'TLSv1.1'],
  [0x0303, 'TLSv1.2'],
  [0x0304, 'TLSv1.3'],
  [0xfefc, 'DTLSv1.3'],
  [0xfefd, 'DTLSv1.2'],
  [0xfeff, 'DTLSv1.0'],
])

/** DTLS 1.0 as OpenSSL before 0.9.8f said it, and some gateways still do. */
const BEFORE_STANDARD = 0x0100

/** DTLS counts down from 1.0 = 0xfeff. */
export function isDatagramVersion(version: number): boolean {
  return version >> 8 === 0xfe || version === BEFORE_STANDARD
}

/** TLS 1.3 and its drafts, DTLS 1.3: everything behind ServerHello is encrypted, and ChangeCipherSpec says nothing. */
export function isModernVersion(version: number): boolean {
  return isDatagramVersion(version) ? version === 0xfefc : version >= 0x0304
}

/** `1.2` of `TLSv1.2`. */
export function versionNumber(version: number): string {
  const name = versionName(version)
  return name.slice(name.indexOf('v') + 1)
}

export function protocolName(version: number): 'ssl' | 'tls' | 'dtls' {
  if (isDatagramVersion(version)) return 'dtls'
  return version < 0x301 ? 'ssl' : 'tls'
}

/** IANA registry "TLS Supported Groups": what is in use. */
export function groupName(group: number): string {
  return GROUPS.get(group) ?? `0x${group.toString(16).padStart(4, '0')}`
}

const GROUPS = new Map([
  [1, 'sect163k1'],
  [3, 'sect163r2'],
  [6, 'sect233k1'],
  [7, 'sect233r1'],
  [9, 'sect283k1'],
  [10, 'sect283r1'],
  [11, 'sect409k1'],
  [12, 'sect409r1'],
  [13, 'sect571k1'],
  [14, 'sect571r1'],
  [18, 'secp192k1'],
  [19, 'secp192r1'],
  [20, 'secp224k1'],
  [21, 'secp224r1'],
  [22, 'secp256k1'],
  [23, 'secp256r1'],
  [24, 'secp384r1'],
  [25, 'secp521r1'],
  [26, 'brainpoolP256r1'],
  [27, 'brainpoolP384r1'],
  [28, 'brainpoolP512r1'],
  [29, 'x25519'],
  [30, 'x448'],
  [31, 'brainpoolP256r1tls13'],
  [32, 'brainpoolP384r1tls13'],
  [33, 'brainpoolP512r1tls13'],
  [41, 'curveSM2'],
  [256, 'ffdhe2048'],
  [257, 'ffdhe3072'],
  [258, 'ffdhe4096'],
  [259, 'ffdhe6144'],
  [260, 'ffdhe8192'],
  [512, 'MLKEM512'],
  [513, 'MLKEM768'],
  [514, 'MLKEM1024'],
  [0x11eb, 'SecP256r1MLKEM768'],
  [0x11ec, 'X25519MLKEM768'],
  [0x11ed, 'SecP384r1MLKEM1024'],
  [0x6399, 'X25519Kyber768Draft00'],
  [0x639a, 'SecP256r1Kyber768Draft00'],
])

/** IANA registry "TLS Alerts". */
export function alertName(code: number): string {
  return ALERTS.get(code) ?? `alert_${code}`
}

export const CLOSE_NOTIFY = 0
export const INTERNAL_ERROR = 80
export const USER_CANCELED = 90

const ALERTS = new Map([
  [CLOSE_NOTIFY, 'close_notify'],
  [10, 'unexpected_message'],
  [20, 'bad_record_mac'],
  [21, 'decryption_failed'],
  [22, 'record_overflow'],
  [30, 'decompression_failure'],
  [40, 'handshake_failure'],
  [41, 'no_certificate'],
  [42, 'bad_certificate'],
  [43, 'unsupported_certificate'],
  [44, 'certificate_revoked'],
  [45, 'certificate_expired'],
  [46, 'certificate_unknown'],
  [47, 'illegal_parameter'],
  [48, 'unknown_ca'],
  [49, 'access_denied'],
  [50, 'decode_error'],
  [51, 'decrypt_error'],
  [52, 'too_many_cids_requested'],
  [60, 'export_restriction'],
  [70, 'protocol_version'],
  [71, 'insufficient_security'],
  [INTERNAL_ERROR, 'internal_error'],
  [86, 'inappropriate_fallback'],
  [USER_CANCELED, 'user_canceled'],
  [100, 'no_renegotiation'],
  [109, 'missing_extension'],
  [110, 'unsupported_extension'],
  [111, 'certificate_unobtainable'],
  [112, 'unrecognized_name'],
  [113, 'bad_certificate_status_response'],
  [114, 'bad_certificate_hash_value'],
  [115, 'unknown_psk_identity'],
  [116, 'certificate_required'],
  [117, 'general_error'],
  [120, 'no_application_protocol'],
  [121, 'ech_required'],
])
