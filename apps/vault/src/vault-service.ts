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
import { recipientKeyName } from './vault-keys.ts';

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
}

export interface VaultServiceOptions {
  readonly keys: KeyStore;
  readonly iccKeys: IccKeys;
  readonly certificates: IssuerCertificates;
  readonly products: readonly ProductProfile[];
  readonly issuerIds: readonly string[];
  readonly testPanPrefixes: readonly string[];
  readonly emvDataIssuerIds: readonly string[];
  readonly pinBlockFormats?: Readonly<Record<string, readonly IssuerPinFormat[]>> | undefined;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

export class VaultService {
  readonly #options: VaultServiceOptions;
  readonly #sealKey: KeyHandle;
  readonly #preparation: PreparationService;
  readonly #chip: ChipService;

  private constructor(options: VaultServiceOptions, sealKey: KeyHandle, tokenKey: KeyHandle) {
    this.#options = options;
    this.#sealKey = sealKey;
    this.#preparation = new PreparationService({ ...options, sealKey, tokenKey });
    this.#chip = new ChipService({ keys: options.keys, sealKey, now: options.now });
  }

  /** @throws KeyError KEY_NOT_FOUND when the sealing or the token key is missing */
  static async create(options: VaultServiceOptions): Promise<VaultService> {
    const { keys } = options;
    return new VaultService(options, await keys.find('seal/1'), await keys.find('token/1'));
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
    const plan = await openPlan(keys, this.#sealKey, request.sealedPlan);
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
    const plan = await openPlan(keys, this.#sealKey, request.sealedPlan);
    return confirmCryptogram(keys, plan, request.evidence);
  }

  /** What issuers encrypt to, and what terminals need to trust the test cards. */
  async publicKeys(): Promise<VaultPublicKeys> {
    const { keys, issuerIds, products, certificates } = this.#options;
    const recipientKeys = [];
    for (const issuerId of issuerIds) {
      const jwk = await keys.ecPublicJwk(await keys.find(recipientKeyName(issuerId)));
      recipientKeys.push({ issuerId, jwk });
    }
    const capks = new Map(
      certificates.all().map((issuer) => {
        const capk = caPublicKey(issuer);
        return [`${capk.rid}${capk.index}`, capk] as const;
      }),
    );
    return {
      recipientKeys,
      products: products.map(({ productId, config, emv }) => ({ productId, config, aid: emv.aid })),
      capks: [...capks.values()],
    };
  }

  /** What holds the keys, and which operations it proved; for operators. */
  async status(): Promise<{ keys: KeyAdapterStatus; iccKeysReady: number }> {
    const { keys, iccKeys } = this.#options;
    return { keys: await keys.status(), iccKeysReady: iccKeys.size() };
  }

  health(): Promise<VaultHealth> {
    const { keys, iccKeys } = this.#options;
    return Promise.resolve({
      status: 'ok',
      keyAdapter: keys.adapter,
      iccKeysReady: iccKeys.size(),
      iccKeyPools: iccKeys.status(),
    });
  }
}
