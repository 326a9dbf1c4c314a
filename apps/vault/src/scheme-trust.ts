/**
 * The CA keys of payment systems that the configuration trusts.
 *
 * Invariant: trust comes from the files that the configuration names, never from a certificate that is judged by it.
 */
import { readFileSync } from 'node:fs';
import { CaPublicKey } from '@cardwright/dataprep';
import { check } from '@cardwright/protocol';
import { ConfigError } from '@cardwright/runtime';
import { type VaultConfig } from './config.ts';

/** @throws ConfigError naming each file that holds no CA key */
export function readSchemeCas({ schemeCas = [] }: VaultConfig, configFile: string): readonly CaPublicKey[] {
  const faults: string[] = [];
  const cas = schemeCas.flatMap(({ keyFile }, at) => {
    const fault = (what: string): [] => {
      faults.push(`schemeCas.${at}.keyFile: ${what}`);
      return [];
    };
    try {
      const checked = check(CaPublicKey, JSON.parse(readFileSync(keyFile, 'utf8')) as unknown);
      return checked.ok ? [checked.value] : fault(`is no CA key (${checked.field})`);
    } catch (error) {
      return fault(`cannot be read (${(error as { code?: string }).code ?? 'it is not JSON'})`);
    }
  });
  if (faults.length > 0) throw new ConfigError(configFile, faults);
  return cas;
}

/** YYMM of a time in epoch milliseconds, UTC. */
export function monthOf(timeMs: number): string {
  return new Date(timeMs).toISOString().slice(2, 7).replace('-', '');
}
