/** server.properties of the Kafka that tests start. */
export interface KafkaPorts {
  readonly plain: number
  readonly sasl: number
  readonly tls: number
  readonly saslTls: number
  readonly controller: number
}

export interface ServerPropertiesInput {
  readonly folder: string
  readonly ports: KafkaPorts
  /** Of the plain listener, as clients are told. */
  readonly advertisedPort: number
  /** PEM: private key, then certificate. */
  readonly keystore: string
  readonly user: string
  readonly password: string
}

export function serverProperties(input: ServerPropertiesInput): Record<string, string> {
  const { folder, ports, advertisedPort, keystore, user, password } = input
  const at = (name: string, port: number) => `${name}://127.0.0.1:${port}`
  const own = [at('PLAIN', ports.plain), at('SASL', ports.sasl), at('TLS', ports.tls)]
  const clients = [...own, at('SASLTLS', ports.saslTls)].join(',')
  const plain = 'org.apache.kafka.common.security.plain.PlainLoginModule'
  const scram = 'org.apache.kafka.common.security.scram.ScramLoginModule'
  return {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'log.dirs': `${folder}/log`,
    listeners: `${clients},${at('CONTROLLER', ports.controller)}`,
    'advertised.listeners': clients.replace(at('PLAIN', ports.plain), at('PLAIN', advertisedPort)),
    'listener.security.protocol.map':
      'PLAIN:PLAINTEXT,SASL:SASL_PLAINTEXT,TLS:SSL,SASLTLS:SASL_SSL,CONTROLLER:PLAINTEXT',
    'inter.broker.listener.name': 'PLAIN',
    'controller.listener.names': 'CONTROLLER',
    'controller.quorum.bootstrap.servers': `127.0.0.1:${ports.controller}`,
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.sasl.plain.sasl.jaas.config': `${plain} required user_${user}="${password}";`,
    'listener.name.sasl.scram-sha-256.sasl.jaas.config': `${scram} required;`,
    'listener.name.sasl.scram-sha-512.sasl.jaas.config': `${scram} required;`,
    'listener.name.sasltls.plain.sasl.jaas.config': `${plain} required user_${user}="${password}";`,
    'listener.name.sasltls.scram-sha-256.sasl.jaas.config': `${scram} required;`,
    'listener.name.sasltls.scram-sha-512.sasl.jaas.config': `${scram} required;`,
    'ssl.keystore.type': 'PEM',
    'ssl.keystore.location': keystore,
    'auto.create.topics.enable': 'false',
    // One node: what is replicated elsewhere has one copy here.
    'offsets.topic.replication.factor': '1',
    'offsets.topic.num.partitions': '4',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'transaction.state.log.num.partitions': '4',
    'group.initial.rebalance.delay.ms': '0',
    // A worker that is gone is replaced after klartext's 3.5 s and not only after the 6 s that brokers insist on by default.
    'group.min.session.timeout.ms': '2000',
    // The default of 10 s is how late a transaction that timed out would be undone.
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': '1000',
    // A broker that was killed is taken back once its old session is over: 9 s by default.
    'broker.session.timeout.ms': '2000',
    'broker.heartbeat.interval.ms': '500',
    'num.network.threads': '2',
    'num.io.threads': '4',
    'log.cleaner.dedupe.buffer.size': '2097152',
    'log.cleaner.threads': '1',
  }
}
