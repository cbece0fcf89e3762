/** As klartext's clients call themselves: by this name its own traffic is known. */
export const KAFKA_CLIENT_ID = 'klartext'

/** How to reach a Kafka. */
export interface KafkaConnection {
  /** `host:port`; any of them tells the rest. */
  readonly brokers: readonly string[]
  /** Present: TLS. PEM texts; without `ca` the system's authorities are trusted. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string; readonly servername?: string }
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** Until a connection stands (5 s), and until a request is answered (30 s). */
  readonly connectMs?: number
  readonly requestMs?: number
}

/** An offset that a group committed and retention has removed: records between the two are lost to this group. */
export interface LostOffsets {
  readonly topic: string
  readonly partition: number
  readonly from: bigint
  readonly to: bigint
}

export interface KafkaBusOptions extends KafkaConnection {
  /** Compression of what is sent (lz4); all of Kafka's are read. */
  readonly compression?: 'none' | 'lz4'
  /**
   * How long a member may be silent before others take its partitions (4 s). A broker that allows no less than 6 s
   * (`group.min.session.timeout.ms`, its default) is asked for that.
   */
  readonly sessionMs?: number
  /** A transaction open for so long is undone by the broker (15 s). */
  readonly transactionMs?: number
  /** How long a call goes on trying while the broker cannot serve it (30 s), before it throws `BUS_UNREACHABLE`. */
  readonly retryMs?: number
  /** Records held ready by one consumer (32 MiB). */
  readonly inboxBytesMax?: number
  /** Replication of topics that are made (-1: the broker's default). */
  readonly replication?: number
  /**
   * Called where the next offset of a group is no longer kept; reading goes on at the oldest record. Without it `poll`
   * throws `OFFSETS_LOST`: nothing is skipped unseen.
   */
  readonly onLost?: (lost: LostOffsets) => void
}
