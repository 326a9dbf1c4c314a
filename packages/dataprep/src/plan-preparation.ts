/**
 * From validated card data to a plan: records, certificates, data groupings, print fields, verification facts.
 *
 * Invariants: records are frozen before the ICC certificate signs them; the facts that a station verifies by are
 * taken from the same bytes that go onto the chip; the card never outlives the certificate of its issuer; every
 * ICC key is used for one plan only (I11).
 */
import { createHash } from 'node:crypto';
import { concatBytes, encodeAfl, hex, parseTlv, staticDataToAuthenticate, unhex } from '@cardwright/emv';
import { type EncipheredPin, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { type CardDesign, type VerificationFacts } from '@cardwright/protocol';
import { panBytes, tagValues } from './application-data.ts';
import { withApplicationKeys } from './application-keys.ts';
import { type ValidatedCard } from './card-data-validation.ts';
import { cardValues } from './card-values.ts';
import {
  certificateValues,
  createIccCertificate,
  type IccCertificate,
  type IssuerCertificate,
} from './certificate-preparation.ts';
import { DataPreparationError } from './data-preparation-error.ts';
import { type SelectedKeys } from './key-selection.ts';
import { type Plan, type PlanInstance } from './plan.ts';
import { printFields } from './print-fields.ts';
import { type ProductProfile } from './product-profile.ts';
import { iadBytes, iadPrefix, isIadOfLayout } from './profile/iad-layout.ts';
import { aflEntries, type CardRecord } from './record-packing.ts';
import { findPin } from './reference-pin.ts';
import { stripeTracks } from './stripe-data.ts';
import { expandDgis, fileRecords, holdsCertificates, type PreparedDgis } from './template-expansion.ts';

/** Where ICC keys come from: each key is given out once. */
export interface IccKeySource {
  /** A key of `bits` that nobody got before; the caller releases it. */
  take(bits: number): Promise<KeyHandle>;
}

export interface PlanRequest {
  readonly issuerId: string;
  readonly operationId: string;
  readonly cardId: string;
  readonly cardDesign?: CardDesign | undefined;
  readonly profile: ProductProfile;
  readonly card: ValidatedCard;
  readonly selected: SelectedKeys;
  readonly issuerCertificate: IssuerCertificate;
}

const nothingPrepared: PreparedDgis = new Map();
const sha256 = (bytes: Uint8Array): string => hex(createHash('sha256').update(bytes).digest());

/**
 * Prepares the plan of one card. Takes one key from `iccKeys`; its private part goes into the plan sealed under
 * `sealKey`.
 * @throws DataPreparationError EXPIRY_OUTLIVES_CERTIFICATE (field `exp`), RECORD_TOO_LONG, CERTIFICATE_INVALID;
 *   PIN_KEY_UNKNOWN, PIN_BLOCK_INVALID, SECURITY_CODE_MISMATCH, KEY_INDEX_UNKNOWN with the order's field
 * @throws KeyError when a key that the profile names is missing
 */
export async function preparePlan(
  keys: KeyPort,
  iccKeys: IccKeySource,
  sealKey: KeyHandle,
  request: PlanRequest,
): Promise<Plan> {
  const { profile, card, selected, issuerCertificate } = request;
  const pin = await findPin(keys, request.issuerId, card);
  const computed = await cardValues(keys, request, pin);
  const values = tagValues(profile, card, { icvv: computed.icvv, dki: selected.derivation.dki });
  const stripe = stripeTracks(profile, card, computed.stripe);
  const prepared = card.preparedDgis ?? nothingPrepared;
  requireSelectedDki(profile, prepared, selected.derivation.dki);
  const records = new Map<number, CardRecord[]>();
  for (const file of profile.chip.files.filter((one) => !holdsCertificates(one))) {
    records.set(file.sfi, fileRecords(file, values, prepared));
  }
  const iccKey = await iccKeys.take(profile.iccKeyBits);
  try {
    const icc = await certifyIccKey(keys, request, iccKey, [...records.values()].flat());
    for (const [tag, value] of certificateValues(issuerCertificate, icc)) values.set(tag, value);
    for (const file of profile.chip.files.filter(holdsCertificates)) {
      records.set(file.sfi, fileRecords(file, values, prepared));
    }
    const inAflOrder = profile.chip.files.flatMap(({ sfi }) => records.get(sfi) ?? []);
    values.set('94', encodeAfl(aflEntries(inAflOrder)));
    const udk = udkSource(request);
    const context = `icc|${request.issuerId}|${request.operationId}`;
    const sealedIccKey = await keys.sealRsa(sealKey, iccKey, context);
    return {
      version: 2,
      issuerId: request.issuerId,
      operationId: request.operationId,
      cardId: request.cardId,
      productId: profile.productId,
      config: profile.config,
      design: profile.print.design,
      isTestCard: card.isTestCard,
      print: printFields(card, computed.securityCode, profile.print, request.cardDesign),
      ...(stripe !== undefined && { stripe }),
      verification: verificationFacts(request, inAflOrder),
      instances: await planInstanceData(keys, request, { values, records: inAflOrder, udk }),
      udk,
      ...planPin(profile, pin),
      iccKey: { sealed: Buffer.from(sealedIccKey).toString('base64url'), context },
      secureChannels: profile.secureChannels.map(({ protocol, masterKey }) => ({ protocol, masterKey })),
      packing: profile.chip.packing,
      cryptogram: {
        aip: profile.emv.aip,
        cdol1: profile.emv.cdol1,
        iadPrefix: iadPrefix(profile.chip.iad, selected.derivation.dki),
        iadBytes: iadBytes(profile.chip.iad),
      },
    };
  } finally {
    await keys.release(iccKey);
  }
}

/** The issuer's block as it came: it is opened again, inside the key port, when the chip is there. */
function planPin(profile: ProductProfile, pin: EncipheredPin | undefined): Pick<Plan, 'pin'> {
  if (pin === undefined || profile.pin === undefined) return {};
  const { key, format, block } = pin;
  return { pin: { key: key.id, format, block: hex(block), reference: profile.pin.block } };
}

/** The IAD that an issuer prepared must name the keys that the order names. */
function requireSelectedDki({ chip }: ProductProfile, prepared: PreparedDgis, dki: string): void {
  for (const [id, value] of prepared) {
    const isOther = parseTlv(value).some(
      (node) => node.tag === '9F10' && !isIadOfLayout(chip.iad, dki, hex(node.value)),
    );
    if (!isOther) continue;
    throw new DataPreparationError(
      'PREPARED_DATA_INVALID',
      'the prepared issuer application data name other keys than the order',
      `emvData.dgis.${id}.9F10`,
    );
  }
}

/** The certificate over the signed records, which must not change any more. */
async function certifyIccKey(
  keys: KeyPort,
  { profile, card, selected, issuerCertificate }: PlanRequest,
  iccKey: KeyHandle,
  frozen: readonly CardRecord[],
): Promise<IccCertificate> {
  const signed = frozen.filter(({ isSigned }) => isSigned);
  const staticData = staticDataToAuthenticate(
    signed.map(({ sfi, bytes }) => ({ sfi, record: bytes })),
    [unhex(profile.emv.aip)],
  );
  const issuerKey = await keys.find(selected.oda.issuerKey);
  return createIccCertificate(keys, issuerKey, issuerCertificate, iccKey, {
    pan: card.pan,
    expires: card.expiry,
    staticData,
  });
}

function udkSource({ profile, card, selected }: PlanRequest): Plan['udk'] {
  const { ac, smi, smc } = selected.derivation;
  const { pan, panSequenceNumber } = card;
  return { option: profile.udkOption, pan, panSequenceNumber, ac, smi, smc };
}

async function planInstanceData(
  keys: KeyPort,
  { profile, card }: PlanRequest,
  made: {
    readonly values: ReadonlyMap<string, Uint8Array>;
    readonly records: readonly CardRecord[];
    readonly udk: Plan['udk'];
  },
): Promise<PlanInstance[]> {
  const { emv, chip } = profile;
  const kcvs = await withApplicationKeys(keys, made.udk, (udks) =>
    Promise.all(udks.map((key) => keys.kcv(key))),
  );
  const pinTries = Uint8Array.of(chip.pinTryLimit);
  const common = {
    values: made.values,
    data: {
      'key-check-values': concatBytes(...kcvs),
      'pin-try-counter': pinTries,
      'pin-try-limit': pinTries,
    },
  };
  const directory = { ...common, records: [], prepared: nothingPrepared, hasPin: false };
  const application = {
    ...common,
    records: made.records,
    prepared: card.preparedDgis ?? nothingPrepared,
    hasPin: profile.pin !== undefined && card.pinBlock !== undefined,
  };
  return [
    { label: 'PSE', aid: emv.pseAid, dgis: expandDgis(chip.instances.pse, directory) },
    { label: 'PPSE', aid: emv.ppseAid, dgis: expandDgis(chip.instances.ppse, directory) },
    { label: 'APP', aid: emv.aid, dgis: expandDgis(chip.instances.application, application) },
  ];
}

function verificationFacts(request: PlanRequest, records: readonly CardRecord[]): VerificationFacts {
  const { profile, card, issuerCertificate } = request;
  const { emv } = profile;
  return {
    aid: emv.aid,
    pseAid: emv.pseAid,
    ppseAid: emv.ppseAid,
    aip: emv.aip,
    afl: hex(encodeAfl(aflEntries(records))),
    records: records.map(({ sfi, record, bytes }) => ({ sfi, record, sha256: sha256(bytes) })),
    capk: {
      rid: issuerCertificate.rid,
      index: issuerCertificate.caIndex,
      modulus: issuerCertificate.caModulus,
      exponent: issuerCertificate.caExponent,
    },
    panSha256: sha256(panBytes(card.pan)),
    atcStart: Number.parseInt(emv.atcStart, 16),
  };
}
