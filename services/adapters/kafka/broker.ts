/** What is used of kafkajs's clusters and brokers, as types. */

/** A request with what reads its answer; `encode` gives the bytes behind the request header. */
export interface ProtocolRequest<Answer> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    encode(): Promise<{ buf: Buffer; buffer: Buffer; size(): number }>
  }
  readonly response: {
    decode(bytes: Buffer): Promise<Answer>
    parse(answer: Answer): Promise<Answer>
  }
  /** ms; the larger of this and the connection's own. */
  readonly requestTimeout?: number
  readonly logResponseError?: boolean
}

export interface TopicOffsets {
  readonly topic: string
  readonly partitions: readonly { partition: number; offset: string; metadata?: string }[]
}

/** Where errors leave a request: `parse` throws them, so an answer that arrives is a good one. */
export interface Broker {
  readonly nodeId: string
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>
  readonly connectionPool: { send<Answer>(request: ProtocolRequest<Answer>): Promise<Answer> }
  isConnected(): boolean
  disconnect(): Promise<void>
  joinGroup(request: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: readonly { name: string; metadata: Buffer }[]
  }): Promise<JoinedGroup>
  syncGroup(request: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: readonly { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(request: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(request: { groupId: string; memberId: string }): Promise<unknown>
  offsetCommit(request: {
    groupId: string
    groupGenerationId: number
    memberId: string
    topics: readonly TopicOffsets[]
  }): Promise<unknown>
  listOffsets(request: {
    replicaId: number
    isolationLevel: number
    topics: readonly { topic: string; partitions: readonly { partition: number; timestamp: number }[] }[]
  }): Promise<{
    responses: readonly { partitions: readonly { partition: number; offset: string; timestamp: string }[] }[]
  }>
  initProducerId(request: {
    transactionalId: string | null
    transactionTimeout: number
  }): Promise<{ producerId: string; producerEpoch: number }>
  addPartitionsToTxn(
    request: ProducerIdentity & { topics: readonly { topic: string; partitions: readonly number[] }[] },
  ): Promise<unknown>
  addOffsetsToTxn(request: ProducerIdentity & { groupId: string }): Promise<unknown>
  txnOffsetCommit(request: ProducerIdentity & { groupId: string; topics: readonly TopicOffsets[] }): Promise<unknown>
  endTxn(request: ProducerIdentity & { transactionResult: boolean }): Promise<unknown>
  createTopics(request: {
    topics: readonly {
      topic: string
      numPartitions: number
      replicationFactor: number
      configEntries: readonly { name: string; value: string }[]
    }[]
    timeout: number
  }): Promise<unknown>
  describeConfigs(request: {
    resources: readonly { type: number; name: string; configNames: readonly string[] }[]
  }): Promise<{ resources: readonly { configEntries: readonly { configName: string; configValue: string }[] }[] }>
}

export interface ProducerIdentity {
  readonly transactionalId: string
  readonly producerId: string
  readonly producerEpoch: number
}

export interface JoinedGroup {
  readonly generationId: number
  readonly leaderId: string
  readonly memberId: string
  readonly members: readonly { memberId: string; memberMetadata: Buffer }[]
}

export interface PartitionMetadata {
  readonly partitionId: number
  /** -1 while a leader is being elected. */
  readonly leader: number
}

export interface Cluster {
  readonly brokerPool: {
    readonly metadata: {
      readonly clusterId: string | null
      readonly brokers: readonly { readonly port: number }[]
      readonly topicMetadata: readonly { topic: string; partitionMetadata: readonly PartitionMetadata[] }[]
    } | null
    readonly seedBroker?: Broker
    readonly brokers: Readonly<Record<string, Broker>>
  }
  connect(): Promise<void>
  disconnect(): Promise<void>
  addMultipleTargetTopics(topics: readonly string[]): Promise<void>
  refreshMetadata(): Promise<void>
  findBroker(where: { nodeId: string }): Promise<Broker>
  findControllerBroker(): Promise<Broker>
  findGroupCoordinator(of: { groupId: string; coordinatorType?: number }): Promise<Broker>
}
