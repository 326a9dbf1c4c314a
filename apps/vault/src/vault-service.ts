/**
 * Everything the vault can be asked, one method per route. Stateless apart from keys and the ICC key pool: what
 * must be remembered between two calls travels in blobs that only this vault opens.
 */
import { caPublicKey, confirmCryptogram, type ProductProfile } from '@cardwright/dataprep';
import {
  type IccKeyPoolStatus,
  type IssuerPinFormat,
  type KeyAdapterStatus,
  type KeyHandle,
  type KeyStore,
} from '@cardwright/keys';
import {
  type FingerprintAnswer,
  type FingerprintRequest,
  type PayloadAnswer,
  type PayloadRequest,
  type PrepareAnswer,
  type PrepareRequest,
  type ChipBeginAnswer,
  type VaultChipBeginRequest,
  type CryptogramVerdict,
  type VaultCryptogramRequest,
  type VaultPublicKeys,
  type VaultScriptAnswer,
  type VaultScriptRequest,
} from '@cardwright/protocol';
import { crashPoint } from '@cardwright/runtime';
import { ChipService } from './chip-service.ts';
import { type IssuerCertificates } from './issuer-certificate-store.ts';
import { PreparationService } from './preparation-service.ts';
import { openPlan } from './sealed-plan.ts';
import { encryptStationPayload } from './station-payload.ts';
import { type EndingKey, type KeyLifeWatch } from './key-life-watch.ts';
import { type KeyFamily, openKeyFamily } from './key-family.ts';
import { RecipientKeys } from './recipient-keys.ts';

/** What the service needs of the pool of ICC keys. */
export interface IccKeys {
  take(bits: number): Promise<KeyHandle>;
  size(): number;
  status(): readonly IccKeyPoolStatus[];
}

export interface VaultHealth {
  readonly status: 'ok';
  readonly keyAdapter: string;
  readonly iccKeysReady: number;
  /** By modulus length: what is ready, what was taken, what had to be made while somebody waited. */
  readonly iccKeyPools: readonly IccKeyPoolStatus[];
  /** How many keys end soon or have ended; the status names them. */
  readonly keysEnding: number;
}

export interface StatusOfVault {
  readonly keys: KeyAdapterStatus;
  readonly iccKeysReady: number;
  readonly keysEnding: readonly EndingKey[];
}

export interface VaultServiceOptions {
  readonly keys: KeyStore;
  readonly iccKeys: IccKeys;
  readonly keyLives: Pick<KeyLifeWatch, 'ending'>;
  readonly certificates: IssuerCertificates;
  readonly products: readonly ProductProfile[];
  readonly issuerIds: readonly string[];
  readonly testPanPrefixes: readonly string[];
  readonly emvDataIssuerIds: readonly string[];
  readonly pinBlockFormats?: Readonly<Record<string, readonly IssuerPinFormat[]>> | undefined;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

/** The keys that the vault names itself. */
interface KeyParts {
  readonly seals: KeyFamily;
  readonly tokens: KeyFamily;
  readonly recipients: RecipientKeys;
}

export class VaultService {
  readonly #options: VaultServiceOptions;
  readonly #parts: KeyParts;
  readonly #preparation: PreparationService;
  readonly #chip: ChipService;

  private constructor(options: VaultServiceOptions, parts: KeyParts) {
    this.#options = options;
    this.#parts = parts;
    const { keys, now } = options;
    this.#preparation = new PreparationService({ ...options, ...parts });
    this.#chip = new ChipService({ keys, seals: parts.seals, now });
  }

  /** @throws KeyError KEY_NOT_FOUND when no sealing, token or recipient key is active */
  static async create(options: VaultServiceOptions): Promise<VaultService> {
    const { keys, issuerIds } = options;
    return new VaultService(options, {
      seals: await openKeyFamily(keys, 'seal'),
      tokens: await openKeyFamily(keys, 'token'),
      recipients: await RecipientKeys.open(keys, issuerIds),
    });
  }

  async prepare(request: PrepareRequest): Promise<PrepareAnswer> {
    const answer = await this.#preparation.prepare(request);
    crashPoint('vault.prepare.before-answer');
    return answer;
  }

  fingerprint(request: FingerprintRequest): Promise<FingerprintAnswer> {
    return this.#preparation.fingerprint(request);
  }

  /** @throws VaultRefusal PLAN_INVALID, STATION_KEY_INVALID, BAD_MESSAGE */
  async payload(request: PayloadRequest): Promise<PayloadAnswer> {
    const { keys, now } = this.#options;
    const { plan } = await openPlan(keys, this.#parts.seals, request.sealedPlan);
    return { payload: await encryptStationPayload(plan, request, now()) };
  }

  /** @throws VaultRefusal PLAN_INVALID */
  chipBegin(request: VaultChipBeginRequest): Promise<ChipBeginAnswer> {
    return this.#chip.begin(request);
  }

  /** @throws VaultRefusal PLAN_INVALID */
  async script(request: VaultScriptRequest): Promise<VaultScriptAnswer> {
    const answer = await this.#chip.script(request);
    crashPoint('vault.script.before-answer');
    return answer;
  }

  /** @throws VaultRefusal PLAN_INVALID */
  async cryptogram(request: VaultCryptogramRequest): Promise<CryptogramVerdict> {
    const { keys } = this.#options;
    const { plan } = await openPlan(keys, this.#parts.seals, request.sealedPlan);
    return confirmCryptogram(keys, plan, request.evidence);
  }

  /** What issuers encrypt to, and what terminals need to trust the test cards. */
  publicKeys(): Promise<VaultPublicKeys> {
    const { products, certificates } = this.#options;
    const capks = new Map(
      certificates.all().map((issuer) => {
        const capk = caPublicKey(issuer);
        return [`${capk.rid}${capk.index}`, capk] as const;
      }),
    );
    return Promise.resolve({
      recipientKeys: this.#parts.recipients.published(),
      products: products.map(({ productId, config, emv }) => ({ productId, config, aid: emv.aid })),
      capks: [...capks.values()],
    });
  }

  /** What holds the keys, and which operations it proved; for operators. */
  async status(): Promise<StatusOfVault> {
    const { keys, iccKeys, keyLives } = this.#options;
    return { keys: await keys.status(), iccKeysReady: iccKeys.size(), keysEnding: keyLives.ending() };
  }

  health(): Promise<VaultHealth> {
    const { keys, iccKeys, keyLives } = this.#options;
    return Promise.resolve({
      status: 'ok',
      keyAdapter: keys.adapter,
      iccKeysReady: iccKeys.size(),
      iccKeyPools: iccKeys.status(),
      keysEnding: keyLives.ending().length,
    });
  }
}
