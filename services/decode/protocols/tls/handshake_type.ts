/** Types of handshake messages (RFC 8446 section 4, RFC 5246 section 7.4, RFC 6347 section 4.3.2). */
export const CLIENT_HELLO = 1
export const SERVER_HELLO = 2
/** DTLS: bring this cookie back. */
export const HELLO_VERIFY_REQUEST = 3
export const CERTIFICATE = 11
export const SERVER_KEY_EXCHANGE = 12
export const SERVER_HELLO_DONE = 14

/** Type and length before each message. */
export const MESSAGE_HEADER_BYTES = 4
