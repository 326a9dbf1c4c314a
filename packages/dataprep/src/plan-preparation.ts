/**
 * From validated card data to a plan: records, certificates, data groupings, print fields, verification facts.
 *
 * Invariants: records are frozen before the ICC certificate signs them; the facts that a station verifies by are
 * taken from the same bytes that go onto the chip; the card never outlives the certificate of its issuer; every
 * ICC key is used for one plan only (I11).
 */
import { createHash } from 'node:crypto';
import { concatBytes, encodeAfl, hex, staticDataToAuthenticate, tlv, unhex } from '@cardwright/emv';
import { type EncipheredPin, type KeyHandle, type KeyPort } from '@cardwright/keys';
import { type CardDesign, type VerificationFacts } from '@cardwright/protocol';
import {
  applicationFci,
  defaultIad,
  directoryEntry,
  iadPrefix,
  panBytes,
  ppseFci,
  pseFci,
  signedObjects,
  trackObjects,
} from './application-data.ts';
import { withApplicationKeys } from './application-keys.ts';
import { type ValidatedCard } from './card-data-validation.ts';
import { cardValues } from './card-values.ts';
import {
  createIccCertificate,
  certificateObjects,
  type IssuerCertificate,
} from './certificate-preparation.ts';
import { type SelectedKeys } from './key-selection.ts';
import { type Plan, type PlanDgi, type PlanInstance } from './plan.ts';
import { printFields } from './print-fields.ts';
import { type ProductProfile } from './product-profile.ts';
import { aflEntries, type CardRecord, packRecords, recordDgi } from './record-packing.ts';
import { findPin } from './reference-pin.ts';
import { stripeTracks } from './stripe-data.ts';

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

const clear = (id: string, value: Uint8Array): PlanDgi => ({ kind: 'clear', id, value: hex(value) });
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
  const { emv } = profile;
  const pin = await findPin(keys, request.issuerId, card);
  const values = await cardValues(keys, request, pin);
  const stripe = stripeTracks(profile, card, values.stripe);
  const track = packRecords(1, trackObjects(profile, card, values.icvv), false);
  const signed = packRecords(3, signedObjects(profile, card), true);
  const staticData = staticDataToAuthenticate(
    signed.map(({ sfi, bytes }) => ({ sfi, record: bytes })),
    [unhex(emv.aip)],
  );
  const iccKey = await iccKeys.take(profile.iccKeyBits);
  try {
    const issuerKey = await keys.find(selected.oda.issuerKey);
    const icc = await createIccCertificate(keys, issuerKey, issuerCertificate, iccKey, {
      pan: card.pan,
      expires: card.expiry,
      staticData,
    });
    const certificates = packRecords(2, certificateObjects(emv.ddol, issuerCertificate, icc), false);
    const records = [...track, ...certificates, ...signed];
    const udk = udkSource(request);
    const context = `icc|${request.issuerId}|${request.operationId}`;
    const sealedIccKey = await keys.sealRsa(sealKey, iccKey, context);
    return {
      version: 1,
      issuerId: request.issuerId,
      operationId: request.operationId,
      cardId: request.cardId,
      productId: profile.productId,
      config: profile.config,
      design: profile.print.design,
      isTestCard: card.isTestCard,
      print: printFields(card, values.securityCode, profile.print, request.cardDesign),
      ...(stripe !== undefined && { stripe }),
      verification: verificationFacts(request, records),
      instances: [
        pseInstance(profile),
        ppseInstance(profile),
        await applicationInstance(keys, request, records, udk),
      ],
      udk,
      ...planPin(profile, pin),
      iccKey: { sealed: Buffer.from(sealedIccKey).toString('base64url'), context },
      secureChannels: profile.secureChannels.map(({ protocol, masterKey }) => ({ protocol, masterKey })),
      cryptogram: { aip: emv.aip, cdol1: emv.cdol1, iadPrefix: iadPrefix(emv, selected.derivation.dki) },
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

function udkSource({ profile, card, selected }: PlanRequest): Plan['udk'] {
  const { ac, smi, smc } = selected.derivation;
  const { pan, panSequenceNumber } = card;
  return { option: profile.udkOption, pan, panSequenceNumber, ac, smi, smc };
}

function pseInstance({ emv }: ProductProfile): PlanInstance {
  const [directory] = packRecords(1, [directoryEntry(emv)], false);
  return {
    label: 'PSE',
    aid: emv.pseAid,
    dgis: [clear('9102', pseFci(emv)), ...(directory === undefined ? [] : [clear('0101', directory.bytes)])],
  };
}

function ppseInstance({ emv }: ProductProfile): PlanInstance {
  return { label: 'PPSE', aid: emv.ppseAid, dgis: [clear('9102', ppseFci(emv))] };
}

async function applicationInstance(
  keys: KeyPort,
  request: PlanRequest,
  records: readonly CardRecord[],
  udk: Plan['udk'],
): Promise<PlanInstance> {
  const { emv } = request.profile;
  const kcvs = await withApplicationKeys(keys, udk, (udks) => Promise.all(udks.map((key) => keys.kcv(key))));
  const iad = tlv('9F10', defaultIad(emv, request.selected.derivation.dki));
  return {
    label: 'APP',
    aid: emv.aid,
    dgis: [
      clear('9102', applicationFci(emv)),
      clear('9104', concatBytes(tlv('82', unhex(emv.aip)), tlv('94', encodeAfl(aflEntries(records))))),
      ...records.map((record) => clear(recordDgi(record), record.bytes)),
      clear('3000', tlv('9F36', unhex(emv.atcStart))),
      clear('3001', internalData(request.profile, iad)),
      clear('9200', iad),
      // Secret groupings together: a command never mixes enciphered and clear ones.
      { kind: 'udk', id: '8000' },
      ...(hasReferencePin(request) ? [{ kind: 'pin', id: '8010' } satisfies PlanDgi] : []),
      ...['8201', '8202', '8203', '8204', '8205'].map((id, part): PlanDgi => ({ kind: 'icc-crt', id, part })),
      clear('9000', concatBytes(...kcvs)),
      clear('9010', unhex(emv.pinTryLimit + emv.pinTryLimit)),
    ],
  };
}

const hasReferencePin = ({ profile, card }: PlanRequest): boolean =>
  profile.pin !== undefined && card.pinBlock !== undefined;

function internalData({ emv }: ProductProfile, iad: Uint8Array): Uint8Array {
  return concatBytes(
    iad,
    tlv('9F14', unhex(emv.lowerOfflineLimit)),
    tlv('9F23', unhex(emv.upperOfflineLimit)),
    tlv('9F0D', unhex(emv.iacDefault)),
    tlv('9F0E', unhex(emv.iacDenial)),
    tlv('9F0F', unhex(emv.iacOnline)),
  );
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
