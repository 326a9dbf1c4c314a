/** The agent's configuration file: one schema, nothing insecure by default. Times are in milliseconds. */
import { ConfigError, readConfig } from '@cardwright/runtime';
import { type Static, Type } from 'typebox';

const closed = { additionalProperties: false } as const;
const Text = Type.String({ minLength: 1, maxLength: 1_024 });
const Origin = Type.String({ pattern: '^https://[^/?#]+$' });
const Port = Type.Integer({ minimum: 1, maximum: 65_535 });

export const AgentConfig = Type.Object(
  {
    environment: Type.Union([Type.Literal('sandbox'), Type.Literal('production')]),
    stationId: Type.String({ pattern: '^[A-Za-z0-9_-]{1,64}$' }),
    dataFolder: Text,
    server: Type.Object(
      {
        /** One server, or with `origins` several nodes of it, any of which will do. */
        origin: Type.Optional(Origin),
        origins: Type.Optional(Type.Array(Origin, { minItems: 1, maxItems: 16, uniqueItems: true })),
        /** The only CA that the server is believed by: the system's roots do not count. */
        caFile: Text,
        certFile: Text,
        keyFile: Text,
      },
      closed,
    ),
    /** PKCS#8 PEM, P-256: opens this station's payloads and nothing else. */
    payloadKeyFile: Text,
    printer: Type.Object({ driver: Type.Literal('evolis'), host: Text, port: Port, device: Text }, closed),
    chip: Type.Object({ driver: Type.Literal('vpcd'), host: Text, port: Port }, closed),
    /** How often the agent asks for work when nothing rings. */
    pollIntervalMs: Type.Optional(Type.Integer({ minimum: 100 })),
    /** How long a stalled device may wait for an operator within one job. */
    operatorWaitMs: Type.Optional(Type.Integer({ minimum: 0 })),
    /** How long a presented card may stay at the exit before the agent draws it back. */
    takeWaitMs: Type.Optional(Type.Integer({ minimum: 100 })),
  },
  closed,
);
export type AgentConfig = Static<typeof AgentConfig>;

/** The server's nodes, first choice first. */
export function serverOrigins({ origin, origins }: AgentConfig['server']): readonly string[] {
  return origins ?? (origin === undefined ? [] : [origin]);
}

/** Reads the configuration. @throws ConfigError naming every fault */
export function readAgentConfig(file: string): AgentConfig {
  const config = readConfig(AgentConfig, file);
  if ((config.server.origin === undefined) === (config.server.origins === undefined)) {
    throw new ConfigError(file, ['server: give either origin or origins']);
  }
  if (config.environment === 'production') {
    // vpcd is plain TCP without authentication: whoever reaches the port plays the chip.
    throw new ConfigError(file, ['chip.driver: "vpcd" is for simulated chips and refused in production']);
  }
  return config;
}
