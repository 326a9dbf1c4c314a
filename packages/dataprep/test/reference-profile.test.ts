/**
 * The reference profile became a data file; the plans that it gives did not change. Expected plans were recorded from
 * data preparation as it stood while the profile was code.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { unhex } from '@cardwright/emv';
import { openSoftwareKeys } from '@cardwright/keys';
import { ccd3desProfile, type Plan } from '../src/index.ts';
import { certificateFor, type KeyFixture, planFor } from './key-fixture.ts';

interface Recorded {
  readonly symmetricKey: string;
  readonly profile: Readonly<Record<string, unknown>> & { readonly emv: Readonly<Record<string, string>> };
  readonly plans: readonly { readonly cardData: unknown; readonly plan: Readonly<Record<string, unknown>> }[];
}

const recorded = JSON.parse(
  readFileSync(new URL('./vectors/ccd-3des-plans.json', import.meta.url), 'utf8'),
) as Recorded;

/** Keys with the published values that the plans were recorded with; RSA keys are fresh. */
async function openRecordedKeys(): Promise<KeyFixture> {
  const folder = await mkdtemp(join(tmpdir(), 'cardwright-recorded-'));
  const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
  const value = unhex(recorded.symmetricKey);
  const usages = {
    'imk-ac/1': 'IMK-AC',
    'imk-smi/1': 'IMK-SMI',
    'imk-smc/1': 'IMK-SMC',
    'cvk/1': 'CVK',
  } as const;
  for (const [name, usage] of Object.entries(usages)) {
    await keys.ensure(name, { algorithm: 'TDES-2KEY', usage, value });
  }
  await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1408 });
  await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408 });
  return {
    keys,
    sealKey: await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' }),
    issuerCertificate: await certificateFor(keys, ccd3desProfile),
    iccKeys: { take: (bits) => keys.generateRsa(bits, 3, 'ICC') },
    close: async () => {
      await keys.close();
      await rm(folder, { recursive: true });
    },
  };
}

/** A plan without what fresh RSA keys change, in the form in which plans were recorded. */
function comparable(plan: Plan): unknown {
  const { iccKey: _iccKey, packing: _packing, ...rest } = plan;
  const { iadBytes: _iadBytes, ...cryptogram } = plan.cryptogram;
  const { modulus: _modulus, ...capk } = plan.verification.capk;
  const records = plan.verification.records.map((fact) => (fact.sfi === 2 ? { ...fact, sha256: '' } : fact));
  const instances = plan.instances.map((instance) => ({
    ...instance,
    dgis: instance.dgis.map((dgi) =>
      dgi.kind === 'clear' && instance.label === 'APP' && dgi.id.startsWith('02')
        ? { kind: dgi.kind, id: dgi.id, bytes: dgi.value.length / 2 }
        : dgi,
    ),
  }));
  return {
    ...rest,
    version: 1,
    cryptogram,
    instances,
    verification: { ...plan.verification, capk, records },
  };
}

describe('the reference profile as a data file', () => {
  it('says what the profile in code said', () => {
    const { emv, ...rest } = recorded.profile;
    for (const [name, value] of Object.entries(rest)) {
      assert.deepEqual(ccd3desProfile[name as keyof typeof ccd3desProfile], value, name);
    }
    for (const name of ['rid', 'aid', 'pseAid', 'ppseAid', 'aip', 'cdol1', 'atcStart'] as const) {
      assert.equal(ccd3desProfile.emv[name], emv[name], name);
    }
  });

  it('gives the recorded plans, byte for byte wherever no fresh RSA key takes part', async () => {
    const fixture = await openRecordedKeys();
    try {
      assert.equal(recorded.plans.length, 2);
      for (const { cardData, plan } of recorded.plans) {
        assert.deepEqual(comparable(await planFor(fixture, cardData)), plan);
      }
    } finally {
      await fixture.close();
    }
  });
});
