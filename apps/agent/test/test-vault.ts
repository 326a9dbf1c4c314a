/**
 * The vault's work done inside a test: real keys, real data preparation, real personalization scripts. The agent's
 * sources never import any of this; its tests need somebody who can make a card.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ccd3desProfile,
  confirmCryptogram,
  createIssuerCertificate,
  type IssuerCertificate,
  type Plan,
  planInstances,
  preparePlan,
  selectKeys,
  validateCardData,
} from '@cardwright/dataprep';
import { luhnCheckDigit } from '@cardwright/domain';
import { hex, issuerSecurityDomainAid, unhex } from '@cardwright/emv';
import { type KeyHandle, openSoftwareKeys, type SoftwareKeys } from '@cardwright/keys';
import { beginSecureChannel, createPersonalizationScript } from '@cardwright/personalization';
import {
  type ChipBeginAnswer,
  type ChipScriptAnswer,
  type CryptogramEvidence,
  type CryptogramVerdict,
  type StationPayload,
} from '@cardwright/protocol';
import { CompactEncrypt, importJWK, type JWK } from 'jose';

/** The published test key that simulated blanks carry. */
export const blankKmc = Uint8Array.from({ length: 16 }, (_, i) => 0x40 + i);

export const randomPan = (): string => {
  const body = `999900${String(randomInt(1e9)).padStart(9, '0')}`;
  return body + luhnCheckDigit(body);
};

export class TestVault {
  readonly #keys: SoftwareKeys;
  readonly #folder: string;
  readonly #sealKey: KeyHandle;
  readonly #iccKey: KeyHandle;
  readonly #certificate: IssuerCertificate;

  private constructor(
    keys: SoftwareKeys,
    folder: string,
    sealKey: KeyHandle,
    iccKey: KeyHandle,
    certificate: IssuerCertificate,
  ) {
    this.#keys = keys;
    this.#folder = folder;
    this.#sealKey = sealKey;
    this.#iccKey = iccKey;
    this.#certificate = certificate;
  }

  static async open(): Promise<TestVault> {
    const folder = mkdtempSync(join(tmpdir(), 'cardwright-test-vault-'));
    const keys = await openSoftwareKeys({ folder, masterKey: randomBytes(32), environment: 'test' });
    await keys.ensure('imk-ac/1', { algorithm: 'TDES-2KEY', usage: 'IMK-AC' });
    await keys.ensure('imk-smi/1', { algorithm: 'TDES-2KEY', usage: 'IMK-SMI' });
    await keys.ensure('imk-smc/1', { algorithm: 'TDES-2KEY', usage: 'IMK-SMC' });
    await keys.ensure('cvk/1', { algorithm: 'TDES-2KEY', usage: 'CVK' });
    await keys.ensure('kmc-scp02/1', { algorithm: 'TDES-2KEY', usage: 'KMC', value: blankKmc });
    await keys.ensure('kmc-scp03/1', { algorithm: 'AES-128', usage: 'KMC', value: blankKmc });
    await keys.ensure('ca/1', { algorithm: 'RSA', usage: 'CA', bits: 1408, exponent: 3 });
    await keys.ensure('issuer/1', { algorithm: 'RSA', usage: 'ISSUER', bits: 1408, exponent: 3 });
    const sealKey = await keys.ensure('seal/1', { algorithm: 'AES-256', usage: 'SEAL' });
    const oda = ccd3desProfile.keys.oda['1'];
    if (oda === undefined) throw new Error('the reference profile has an ODA key set');
    const certificate = await createIssuerCertificate(keys, oda, {
      rid: ccd3desProfile.emv.rid,
      issuerNumber: '999900',
    });
    // One ICC key for all test cards: making one takes longer than everything else here.
    const iccKey = await keys.generateRsa(ccd3desProfile.iccKeyBits, 3, 'ICC');
    return new TestVault(keys, folder, sealKey, iccKey, certificate);
  }

  async plan(pan: string, name = 'TARO YAMADA'): Promise<Plan> {
    const data = { pan, exp: '3012', cvv2: String(randomInt(100, 1000)), name };
    const text = new TextEncoder().encode(JSON.stringify(data));
    const card = validateCardData(text, ccd3desProfile, new Date(), ['999900']);
    const indexes = { odaKeyIndex: '01', derivationKeyIndex: '01', cvKeyIndex: '01', pvKeyIndex: '01' };
    const selected = selectKeys(ccd3desProfile, { config: ccd3desProfile.config, ...indexes });
    if (!card.ok || !selected.ok) throw new Error('the test card is not valid');
    const sealed = await this.#keys.sealRsa(this.#sealKey, this.#iccKey, 'copy');
    return preparePlan(
      this.#keys,
      { take: () => this.#keys.unsealRsa(this.#sealKey, sealed, 'copy') },
      this.#sealKey,
      {
        issuerId: 'ISS0000001',
        operationId: 'op-1',
        cardId: 'card-1',
        profile: ccd3desProfile,
        card: card.card,
        selected: selected.keys,
        issuerCertificate: this.#certificate,
      },
    );
  }

  begin(): ChipBeginAnswer {
    const { initializeUpdate, hostChallenge } = beginSecureChannel(this.#keys);
    return {
      securityDomainAid: issuerSecurityDomainAid,
      initializeUpdate: hex(initializeUpdate),
      ticket: hex(hostChallenge),
    };
  }

  /** The script, or the vault's reason to refuse the chip. */
  async script(plan: Plan, ticket: string, response: string): Promise<ChipScriptAnswer | string> {
    const made = await createPersonalizationScript(this.#keys, {
      kmcScp02: await this.#keys.find('kmc-scp02/1'),
      kmcScp03: await this.#keys.find('kmc-scp03/1'),
      hostChallenge: unhex(ticket),
      initializeUpdateResponse: unhex(response),
      allowedProtocols: ['SCP03', 'SCP02'],
      instances: planInstances(plan, this.#keys, this.#sealKey),
    });
    return made.ok ? { script: made.script, terminate: made.terminate } : made.reason;
  }

  confirm(plan: Plan, evidence: CryptogramEvidence): Promise<CryptogramVerdict> {
    return confirmCryptogram(this.#keys, plan, evidence);
  }

  async close(): Promise<void> {
    await this.#keys.close();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/** Encrypts a station payload; `overrides` make it wrong on purpose. */
export async function encryptPayload(
  stationKey: JWK,
  payload: StationPayload,
  header: Readonly<Record<string, string>> = {},
): Promise<string> {
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(payload)))
    .setProtectedHeader({ alg: 'ECDH-ES', enc: 'A256GCM', ...header })
    .encrypt(await importJWK(stationKey, 'ECDH-ES'));
}
