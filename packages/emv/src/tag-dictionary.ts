/**
 * Names and kinds of the EMV tags that cards of the CCD and VSDC kind carry (Book 3, Annex A, in our own words).
 *
 * Invariant: a tag that can hold a card number, a name, track data, a PIN or a key is marked sensitive; reports and
 * logs show sensitive values only through `maskTagValue`.
 */
import { EmvError } from './emv-error.ts';
import { hex } from './bytes.ts';

/** EMV formats: alphabetic text, binary, numeric, compressed numeric, or a template. */
export type TagFormat = 'an' | 'ans' | 'b' | 'n' | 'cn' | 'template';

interface TagEntry {
  readonly name: string;
  readonly format: TagFormat;
  readonly isSensitive: boolean;
}

const plain = (name: string, format: TagFormat): TagEntry => ({ name, format, isSensitive: false });
const sensitive = (name: string, format: TagFormat): TagEntry => ({ name, format, isSensitive: true });

const tags: ReadonlyMap<string, TagEntry> = new Map([
  ['42', plain('Issuer Identification Number (IIN)', 'n')],
  ['4F', plain('Application Identifier (AID) – card', 'b')],
  ['50', plain('Application Label', 'ans')],
  ['52', plain('Command to perform', 'b')],
  ['56', sensitive('Track 1 Data', 'ans')],
  ['57', sensitive('Track 2 Equivalent Data', 'b')],
  ['5A', sensitive('Application Primary Account Number (PAN)', 'cn')],
  ['5F20', sensitive('Cardholder Name', 'ans')],
  ['5F24', plain('Application Expiration Date', 'n')],
  ['5F25', plain('Application Effective Date', 'n')],
  ['5F28', plain('Issuer Country Code', 'n')],
  ['5F2A', plain('Transaction Currency Code', 'n')],
  ['5F2D', plain('Language Preference', 'an')],
  ['5F30', plain('Service Code', 'n')],
  ['5F34', plain('Application PAN Sequence Number', 'n')],
  ['5F36', plain('Transaction Currency Exponent', 'n')],
  ['5F50', plain('Issuer URL', 'ans')],
  ['5F53', sensitive('International Bank Account Number (IBAN)', 'b')],
  ['5F54', plain('Bank Identifier Code (BIC)', 'an')],
  ['5F55', plain('Issuer Country Code (alpha 2)', 'an')],
  ['5F56', plain('Issuer Country Code (alpha 3)', 'an')],
  ['61', plain('Application Template', 'template')],
  ['62', plain('File Control Parameters (FCP) Template', 'template')],
  ['6F', plain('File Control Information (FCI) Template', 'template')],
  ['70', plain('READ RECORD Response Message Template', 'template')],
  ['71', plain('Issuer Script Template 1', 'template')],
  ['72', plain('Issuer Script Template 2', 'template')],
  ['73', plain('Directory Discretionary Template', 'template')],
  ['77', plain('Response Message Template Format 2', 'template')],
  ['80', plain('Response Message Template Format 1', 'b')],
  ['81', plain('Amount, Authorised (Binary)', 'b')],
  ['82', plain('Application Interchange Profile (AIP)', 'b')],
  ['83', plain('Command Template', 'b')],
  ['84', plain('Dedicated File (DF) Name', 'b')],
  ['86', plain('Issuer Script Command', 'b')],
  ['87', plain('Application Priority Indicator', 'b')],
  ['88', plain('Short File Identifier (SFI)', 'b')],
  ['89', plain('Authorisation Code', 'ans')],
  ['8A', plain('Authorisation Response Code', 'an')],
  ['8C', plain('Card Risk Management Data Object List 1 (CDOL1)', 'b')],
  ['8D', plain('Card Risk Management Data Object List 2 (CDOL2)', 'b')],
  ['8E', plain('Cardholder Verification Method (CVM) List', 'b')],
  ['8F', plain('Certification Authority Public Key Index', 'b')],
  ['90', plain('Issuer Public Key Certificate', 'b')],
  ['91', plain('Issuer Authentication Data', 'b')],
  ['92', plain('Issuer Public Key Remainder', 'b')],
  ['93', plain('Signed Static Application Data', 'b')],
  ['94', plain('Application File Locator (AFL)', 'b')],
  ['95', plain('Terminal Verification Results (TVR)', 'b')],
  ['97', plain('Transaction Certificate Data Object List (TDOL)', 'b')],
  ['98', plain('Transaction Certificate (TC) Hash Value', 'b')],
  ['99', sensitive('Transaction PIN Data', 'b')],
  ['9A', plain('Transaction Date', 'n')],
  ['9B', plain('Transaction Status Information', 'b')],
  ['9C', plain('Transaction Type', 'n')],
  ['9D', plain('Directory Definition File (DDF) Name', 'b')],
  ['9F01', plain('Acquirer Identifier', 'n')],
  ['9F02', plain('Amount, Authorised (Numeric)', 'n')],
  ['9F03', plain('Amount, Other (Numeric)', 'n')],
  ['9F04', plain('Amount, Other (Binary)', 'b')],
  ['9F05', plain('Application Discretionary Data', 'b')],
  ['9F06', plain('Application Identifier (AID) – terminal', 'b')],
  ['9F07', plain('Application Usage Control', 'b')],
  ['9F08', plain('Application Version Number – card', 'b')],
  ['9F09', plain('Application Version Number – terminal', 'b')],
  ['9F0A', plain('Application Selection Registered Proprietary Data', 'b')],
  ['9F0B', sensitive('Cardholder Name Extended', 'ans')],
  ['9F0D', plain('Issuer Action Code – Default', 'b')],
  ['9F0E', plain('Issuer Action Code – Denial', 'b')],
  ['9F0F', plain('Issuer Action Code – Online', 'b')],
  ['9F10', plain('Issuer Application Data', 'b')],
  ['9F11', plain('Issuer Code Table Index', 'n')],
  ['9F12', plain('Application Preferred Name', 'ans')],
  ['9F13', plain('Last Online Application Transaction Counter (ATC) Register', 'b')],
  ['9F14', plain('Lower Consecutive Offline Limit', 'b')],
  ['9F15', plain('Merchant Category Code', 'n')],
  ['9F16', plain('Merchant Identifier', 'ans')],
  ['9F17', plain('Personal Identification Number (PIN) Try Counter', 'b')],
  ['9F18', plain('Issuer Script Identifier', 'b')],
  ['9F19', plain('Token Requestor ID', 'n')],
  ['9F1A', plain('Terminal Country Code', 'n')],
  ['9F1B', plain('Terminal Floor Limit', 'b')],
  ['9F1C', plain('Terminal Identification', 'an')],
  ['9F1D', plain('Terminal Risk Management Data', 'b')],
  ['9F1E', plain('Interface Device (IFD) Serial Number', 'an')],
  ['9F1F', sensitive('Track 1 Discretionary Data', 'ans')],
  ['9F20', sensitive('Track 2 Discretionary Data', 'cn')],
  ['9F21', plain('Transaction Time', 'n')],
  ['9F22', plain('Certification Authority Public Key Index – terminal', 'b')],
  ['9F23', plain('Upper Consecutive Offline Limit', 'b')],
  ['9F24', sensitive('Payment Account Reference (PAR)', 'an')],
  ['9F25', sensitive('Last 4 Digits of PAN', 'n')],
  ['9F26', plain('Application Cryptogram', 'b')],
  ['9F27', plain('Cryptogram Information Data', 'b')],
  ['9F29', plain('Extended Selection', 'b')],
  ['9F2A', plain('Kernel Identifier', 'b')],
  // Anyone with the CA public key recovers the card number from an ICC certificate.
  ['9F2D', sensitive('ICC PIN Encipherment Public Key Certificate', 'b')],
  ['9F2E', plain('ICC PIN Encipherment Public Key Exponent', 'b')],
  ['9F2F', plain('ICC PIN Encipherment Public Key Remainder', 'b')],
  ['9F32', plain('Issuer Public Key Exponent', 'b')],
  ['9F33', plain('Terminal Capabilities', 'b')],
  ['9F34', plain('Cardholder Verification Method (CVM) Results', 'b')],
  ['9F35', plain('Terminal Type', 'n')],
  ['9F36', plain('Application Transaction Counter (ATC)', 'b')],
  ['9F37', plain('Unpredictable Number', 'b')],
  ['9F38', plain('Processing Options Data Object List (PDOL)', 'b')],
  ['9F39', plain('Point-of-Service (POS) Entry Mode', 'n')],
  ['9F3A', plain('Amount, Reference Currency', 'b')],
  ['9F3B', plain('Application Reference Currency', 'n')],
  ['9F3C', plain('Transaction Reference Currency Code', 'n')],
  ['9F3D', plain('Transaction Reference Currency Exponent', 'n')],
  ['9F40', plain('Additional Terminal Capabilities', 'b')],
  ['9F41', plain('Transaction Sequence Counter', 'n')],
  ['9F42', plain('Application Currency Code', 'n')],
  ['9F43', plain('Application Reference Currency Exponent', 'n')],
  ['9F44', plain('Application Currency Exponent', 'n')],
  ['9F45', plain('Data Authentication Code', 'b')],
  ['9F46', sensitive('ICC Public Key Certificate', 'b')],
  ['9F47', plain('ICC Public Key Exponent', 'b')],
  ['9F48', plain('ICC Public Key Remainder', 'b')],
  ['9F49', plain('Dynamic Data Authentication Data Object List (DDOL)', 'b')],
  ['9F4A', plain('Static Data Authentication Tag List', 'b')],
  ['9F4B', plain('Signed Dynamic Application Data', 'b')],
  ['9F4C', plain('ICC Dynamic Number', 'b')],
  ['9F4D', plain('Log Entry', 'b')],
  ['9F4E', plain('Merchant Name and Location', 'ans')],
  ['9F4F', plain('Log Format', 'b')],
  ['9F51', plain('Application Currency Code (proprietary use)', 'b')],
  ['9F52', plain('Application Default Action (proprietary use)', 'b')],
  ['9F53', plain('Consecutive Transaction Limit (proprietary use)', 'b')],
  ['9F54', plain('Cumulative Total Transaction Amount Limit (proprietary use)', 'b')],
  ['9F56', plain('Issuer Authentication Indicator (proprietary use)', 'b')],
  ['9F57', plain('Issuer Country Code (proprietary use)', 'b')],
  ['9F58', plain('Lower Consecutive Offline Limit (proprietary use)', 'b')],
  ['9F59', plain('Upper Consecutive Offline Limit (proprietary use)', 'b')],
  ['9F5C', plain('Cumulative Total Transaction Amount Upper Limit (proprietary use)', 'b')],
  ['9F5D', plain('Available Offline Spending Amount (proprietary use)', 'b')],
  ['9F62', plain('Track 1 Bit Map for CVC3 (proprietary use)', 'b')],
  ['9F66', plain('Terminal Transaction Qualifiers (TTQ)', 'b')],
  ['9F68', plain('Card Additional Processes', 'b')],
  ['9F69', plain('Card Authentication Related Data', 'b')],
  ['9F6B', sensitive('Track 2 Data (contactless)', 'b')],
  ['9F6C', plain('Card Transaction Qualifiers (CTQ)', 'b')],
  ['9F6E', plain('Form Factor Indicator', 'b')],
  ['9F7F', plain('Card Production Life Cycle (CPLC) Data', 'b')],
  ['A5', plain('File Control Information (FCI) Proprietary Template', 'template')],
  ['BF0C', plain('File Control Information (FCI) Issuer Discretionary Data', 'template')],
]);

/** The name of a tag (hexadecimal, either case), or `Unknown` for one that this dictionary lacks. */
export function tagName(tag: string): string {
  return tags.get(tag.toUpperCase())?.name ?? 'Unknown';
}

/** The format of a tag; unknown tags count as binary. */
export function tagFormat(tag: string): TagFormat {
  return tags.get(tag.toUpperCase())?.format ?? 'b';
}

/** Whether a tag's value may identify the cardholder or hold account, track or PIN data. */
export function isSensitiveTag(tag: string): boolean {
  return tags.get(tag.toUpperCase())?.isSensitive ?? false;
}

/** All tags of the dictionary, in hexadecimal. */
export function knownTags(): readonly string[] {
  return [...tags.keys()];
}

/**
 * A value that may be shown in a chip report: hexadecimal for ordinary tags; for sensitive ones the PAN with its
 * first six and last four digits, texts as asterisks, other data by its length. Templates are shown by their length
 * too, because their hexadecimal form would show what is masked inside. @throws EmvError TLV_TAG_INVALID
 */
export function maskTagValue(tag: string, value: Uint8Array): string {
  const key = tag.toUpperCase();
  if (key === '5A') return maskDigits(hex(value).replace(/F+$/, ''));
  if (key === '57' || key === '9F6B') return maskTrack2(value);
  const isText = tagFormat(key) === 'an' || tagFormat(key) === 'ans' || tagFormat(key) === 'cn';
  if (isSensitiveTag(key) && isText) return '*'.repeat(value.length);
  if (isSensitiveTag(key) || isConstructed(key)) return `(${String(value.length)} bytes)`;
  return hex(value);
}

function isConstructed(tag: string): boolean {
  const first = parseInt(tag.slice(0, 2), 16);
  if (Number.isNaN(first)) throw new EmvError('TLV_TAG_INVALID', 'a tag is hexadecimal');
  return (first & 0x20) !== 0;
}

function maskDigits(digits: string): string {
  if (digits.length < 13) return '*'.repeat(digits.length);
  return digits.slice(0, 6) + '*'.repeat(digits.length - 10) + digits.slice(-4);
}

/** PAN masked, separator kept, everything behind it (expiry, service code, discretionary data) as asterisks. */
function maskTrack2(value: Uint8Array): string {
  const digits = hex(value).replace(/F+$/, '');
  const separator = digits.indexOf('D');
  if (separator < 0) return '*'.repeat(digits.length);
  return maskDigits(digits.slice(0, separator)) + 'D' + '*'.repeat(digits.length - separator - 1);
}
