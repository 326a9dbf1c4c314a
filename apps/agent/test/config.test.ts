import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { ConfigError } from '@cardwright/runtime';
import { readAgentConfig } from '../src/config.ts';

const folder = mkdtempSync(join(tmpdir(), 'cardwright-agent-config-'));
after(() => {
  rmSync(folder, { recursive: true, force: true });
});

const complete = {
  environment: 'sandbox',
  stationId: 'KIOSK-PS-101',
  dataFolder: 'data',
  server: {
    origin: 'https://127.0.0.1:18441',
    caFile: 'ca.pem',
    certFile: 'station.pem',
    keyFile: 'station.key',
  },
  payloadKeyFile: 'payload.key',
  printer: { driver: 'evolis', host: '127.0.0.1', port: 18446, device: 'Cardwright Simulator' },
  chip: { driver: 'vpcd', host: '127.0.0.1', port: 18447 },
};

function read(config: unknown): ReturnType<typeof readAgentConfig> {
  const file = join(folder, 'config.json');
  writeFileSync(file, JSON.stringify(config));
  return readAgentConfig(file);
}

function faultsOf(config: unknown): readonly string[] {
  try {
    read(config);
  } catch (error) {
    if (error instanceof ConfigError) return error.faults;
    throw error;
  }
  return [];
}

test('paths are taken from where the configuration file stands', () => {
  assert.equal(read(complete).payloadKeyFile, join(folder, 'payload.key'));
  assert.equal(read(complete).dataFolder, join(folder, 'data'));
});

test('plain HTTP, an unknown member and a missing key are all reported at once', () => {
  const { payloadKeyFile: _, ...rest } = complete;
  const faults = faultsOf({
    ...rest,
    server: { ...complete.server, origin: 'http://127.0.0.1' },
    insecure: true,
  });
  assert.equal(faults.length, 3, faults.join('; '));
  assert.ok(faults.some((fault) => fault.includes('payloadKeyFile')));
  assert.ok(faults.some((fault) => fault.includes('insecure')));
  assert.ok(faults.some((fault) => fault.startsWith('server.origin')));
});

test('a simulated chip reader is refused in production', () => {
  const [fault] = faultsOf({ ...complete, environment: 'production' });
  assert.match(fault ?? '', /vpcd/);
});
