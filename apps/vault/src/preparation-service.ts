/**
 * Order in, sealed plan out: opens the issuer's JWE, judges the card data, prepares, seals.
 *
 * Invariants: card data leaves this module only sealed, masked or as keyed hashes; decrypted bytes are wiped
 * before the answer; a refusal names a field, never a value; whatever an issuer sends, the answer is a verdict.
 */
import {
  canonicalCardData,
  DataPreparationError,
  defaultPinFormats,
  type IccKeySource,
  parseCardDataText,
  preparePlan,
  type ProductProfile,
  selectKeys,
  type SelectedKeys,
  validateCardData,
  type ValidatedCard,
} from '@cardwright/dataprep';
import { maskPan } from '@cardwright/domain';
import { type IssuerPinFormat, KeyError, type KeyPort } from '@cardwright/keys';
import {
  type FingerprintAnswer,
  type FingerprintRequest,
  type PrepareAnswer,
  type PrepareRequest,
} from '@cardwright/protocol';
import { wipe } from '@cardwright/runtime';
import { type IssuerCertificates } from './issuer-certificate-store.ts';
import { sealPlan } from './sealed-plan.ts';
import { kidOf, type RecipientKeys } from './recipient-keys.ts';
import { type KeyFamily } from './key-family.ts';

export interface PreparationOptions {
  readonly keys: KeyPort;
  readonly seals: KeyFamily;
  readonly tokens: KeyFamily;
  readonly recipients: RecipientKeys;
  readonly iccKeys: IccKeySource;
  readonly certificates: IssuerCertificates;
  readonly products: readonly ProductProfile[];
  readonly issuerIds: readonly string[];
  readonly testPanPrefixes: readonly string[];
  /** Issuers that may send data sets they prepared themselves. */
  readonly emvDataIssuerIds: readonly string[];
  /** PIN block formats by issuer; an issuer that is not in it may send the default ones. */
  readonly pinBlockFormats?: Readonly<Record<string, readonly IssuerPinFormat[]>> | undefined;
  /** Epoch milliseconds. */
  readonly now: () => number;
}

type Rejection = Extract<PrepareAnswer, { result: 'rejected' }>;
const rejected = (errorCode: Rejection['errorCode'], field: string): Rejection => ({
  result: 'rejected',
  errorCode,
  field,
});
const encryptedField = (field: string): string => (field === '' ? 'encryptedData' : `encryptedData.${field}`);

export class PreparationService {
  readonly #options: PreparationOptions;

  constructor(options: PreparationOptions) {
    this.#options = options;
  }

  /** Prepares one order. @throws only for faults of the vault itself */
  async prepare(request: PrepareRequest): Promise<PrepareAnswer> {
    const { products, issuerIds } = this.#options;
    if (!issuerIds.includes(request.issuerId)) return rejected('DATA_KEY_NOT_FOUND', 'issuerId');
    const profile = products.find(({ productId }) => productId === request.productId);
    if (profile === undefined) return rejected('DATA_FIELD_INVALID', 'cardProductId');
    if (profile.config !== request.paymentApplication.config) {
      return rejected('DATA_FIELD_INVALID', 'paymentApplication.config');
    }
    const selection = selectKeys(profile, request.paymentApplication);
    if (!selection.ok) return rejected('DATA_KEY_NOT_FOUND', selection.field);
    const plaintext = await this.#open(request);
    if (plaintext === undefined) return rejected('DATA_JWE_INVALID', 'encryptedData');
    try {
      const today = new Date(this.#options.now());
      const { testPanPrefixes, emvDataIssuerIds, pinBlockFormats } = this.#options;
      const result = validateCardData(plaintext, profile, today, testPanPrefixes, {
        emvData: emvDataIssuerIds.includes(request.issuerId),
        pinFormats: pinBlockFormats?.[request.issuerId] ?? defaultPinFormats,
      });
      if (!result.ok) return rejected('DATA_FIELD_INVALID', encryptedField(result.field));
      const fingerprint = await this.#fingerprint(request.issuerId, plaintext);
      if (!fingerprint.ok) return rejected('DATA_FIELD_INVALID', encryptedField(fingerprint.field));
      return await this.#prepareCard(request, profile, selection.keys, result.card, fingerprint.value);
    } finally {
      wipe(plaintext);
    }
  }

  async #prepareCard(
    request: PrepareRequest,
    profile: ProductProfile,
    selected: SelectedKeys,
    card: ValidatedCard,
    fingerprint: string,
  ): Promise<PrepareAnswer> {
    const { keys, seals, iccKeys, certificates } = this.#options;
    const issuerCertificate = certificates.find(selected.oda.issuerKey, card.pan);
    if (issuerCertificate === undefined) {
      return rejected('DATA_FIELD_INVALID', encryptedField('pan'));
    }
    try {
      const { issuerId, operationId, cardId, cardDesign } = request;
      const plan = await preparePlan(keys, iccKeys, seals.current, {
        issuerId,
        operationId,
        cardId,
        cardDesign,
        profile,
        card,
        selected,
        issuerCertificate,
      });
      return {
        result: 'prepared',
        sealedPlan: await sealPlan(keys, seals, plan),
        maskedPan: maskPan(card.pan),
        panToken: await this.#keyedHash('pan', issuerId, new TextEncoder().encode(card.pan)),
        fingerprint,
      };
    } catch (error) {
      return rejectionOf(error);
    }
  }

  /** Keyed fingerprint of the card data inside a JWE, for the replay comparison of OD-3.10. */
  async fingerprint(request: FingerprintRequest): Promise<FingerprintAnswer> {
    if (!this.#options.issuerIds.includes(request.issuerId)) return { result: 'rejected', field: 'issuerId' };
    const plaintext = await this.#open(request);
    if (plaintext === undefined) return { result: 'rejected', field: 'encryptedData' };
    try {
      const version = hashVersionOf(request.comparedWith);
      const fingerprint = await this.#fingerprint(request.issuerId, plaintext, version);
      return fingerprint.ok
        ? { result: 'ok', fingerprint: fingerprint.value }
        : { result: 'rejected', field: encryptedField(fingerprint.field) };
    } finally {
      wipe(plaintext);
    }
  }

  async #open(request: { issuerId: string; encryptedData: string }): Promise<Uint8Array | undefined> {
    const { keys, recipients } = this.#options;
    const key = recipients.find(request.issuerId, kidOf(request.encryptedData));
    if (key === undefined) return undefined;
    try {
      return await keys.openJwe(key, request.encryptedData);
    } catch (error) {
      // A recipient key may expire while the vault runs: nobody may open what is encrypted to it any more.
      const isUnopened = error instanceof KeyError && ['JWE_INVALID', 'KEY_RETIRED'].includes(error.code);
      if (isUnopened) return undefined;
      throw error;
    }
  }

  async #fingerprint(
    issuerId: string,
    plaintext: Uint8Array,
    version?: number,
  ): Promise<{ ok: true; value: string } | { ok: false; field: string }> {
    const parsed = parseCardDataText(plaintext);
    if (!parsed.ok) return parsed;
    const canonical = canonicalCardData(parsed.value);
    try {
      return { ok: true, value: await this.#keyedHash('card-data', issuerId, canonical, version) };
    } finally {
      wipe(canonical);
    }
  }

  /**
   * HMAC, base64url, over purpose, issuer and data: hashes of two purposes or issuers never meet. Behind the version
   * of its key and a point, but for the first one. Under `version` when that is kept.
   */
  async #keyedHash(purpose: string, issuerId: string, data: Uint8Array, version?: number): Promise<string> {
    const { keys, tokens } = this.#options;
    const wanted = version === undefined ? undefined : tokens.version(version);
    const [key, number] =
      wanted && version !== undefined ? [wanted, version] : [tokens.current, tokens.currentVersion];
    const input = Buffer.concat([new TextEncoder().encode(`${purpose}|${issuerId}|`), data]);
    try {
      const hash = Buffer.from(await keys.hmac(key, input)).toString('base64url');
      return number === 1 ? hash : `${number}.${hash}`;
    } finally {
      wipe(input);
    }
  }
}

/** Version of the key that made a keyed hash; undefined for none. */
function hashVersionOf(hash: string | undefined): number | undefined {
  if (hash === undefined) return undefined;
  const [, digits = '1'] = /^(\d{1,5})\./.exec(hash) ?? [];
  return Number(digits);
}

/** Faults that the order itself causes become rejections; everything else is the vault's own and is thrown. */
function rejectionOf(error: unknown): Rejection {
  if (error instanceof DataPreparationError) {
    if (error.field === undefined) return rejected('DATA_PREPARATION_FAILED', 'encryptedData');
    return error.field.startsWith('paymentApplication.')
      ? rejected('DATA_KEY_NOT_FOUND', error.field)
      : rejected('DATA_FIELD_INVALID', encryptedField(error.field));
  }
  if (error instanceof KeyError && error.code === 'KEY_NOT_FOUND') {
    return rejected('DATA_KEY_NOT_FOUND', 'paymentApplication');
  }
  throw error;
}
