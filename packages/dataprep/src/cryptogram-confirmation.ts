/**
 * Confirms one application cryptogram of a finished card by computing it again from the issuer's master key.
 *
 * Invariants: only an ARQC of this card's own application counts; everything that the plan fixes (form of the
 * CDOL1 data, AIP, start of the IAD) is compared before any key is used; verdicts name a rule, never a value.
 */
import { timingSafeEqual } from 'node:crypto';
import { concatBytes, cskData, dolDataLength, hex, parseDol, unhex } from '@cardwright/emv';
import { type KeyPort } from '@cardwright/keys';
import { type CryptogramEvidence, type CryptogramVerdict } from '@cardwright/protocol';
import { withCryptogramKey } from './application-keys.ts';
import { type Plan } from './plan.ts';

const refused = (reason: string): CryptogramVerdict => ({ confirmed: false, reason });

/** First rule that the evidence breaks without any key, or undefined. */
function formFault(plan: Plan, evidence: CryptogramEvidence): string | undefined {
  const cid = unhex(evidence.cid);
  const iad = unhex(evidence.iad);
  if (cid.length !== 1 || ((cid[0] ?? 0) & 0xc0) !== 0x80) return 'CID_NOT_ARQC';
  if (unhex(evidence.cdol1Data).length !== dolDataLength(parseDol(unhex(plan.cryptogram.cdol1)))) {
    return 'CDOL1_LENGTH';
  }
  if (unhex(evidence.atc).length !== 2) return 'ATC_LENGTH';
  if (unhex(evidence.arqc).length !== 8) return 'ARQC_LENGTH';
  if (iad.length !== plan.cryptogram.iadBytes || !hex(iad).startsWith(plan.cryptogram.iadPrefix))
    return 'IAD_FORM';
  if (Number.parseInt(evidence.atc, 16) <= plan.verification.atcStart) return 'ATC_NOT_COUNTED';
  return undefined;
}

/**
 * Confirms an ARQC: EMV common session key from ATC, MAC algorithm 3 with padding 2 over CDOL1 data, AIP, ATC
 * and the whole IAD (emv.md 1.8).
 * @throws KeyError KEY_NOT_FOUND when the master key is missing
 */
export async function confirmCryptogram(
  keys: KeyPort,
  plan: Plan,
  evidence: CryptogramEvidence,
): Promise<CryptogramVerdict> {
  const fault = formFault(plan, evidence);
  if (fault !== undefined) return refused(fault);
  const atc = unhex(evidence.atc);
  const input = concatBytes(unhex(evidence.cdol1Data), unhex(plan.cryptogram.aip), atc, unhex(evidence.iad));
  const expected = await withCryptogramKey(keys, plan.udk, async (udk) => {
    const diversifier = concatBytes(atc, new Uint8Array(6));
    const session = await keys.deriveTdesEcb(udk, cskData(diversifier), 'AC-SESSION', true);
    try {
      return await keys.retailMac(session, input, 2);
    } finally {
      await keys.release(session);
    }
  });
  return timingSafeEqual(expected, unhex(evidence.arqc))
    ? { confirmed: true }
    : refused('CRYPTOGRAM_MISMATCH');
}
