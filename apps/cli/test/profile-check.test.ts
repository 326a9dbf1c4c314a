/** `cardwright profile check` as an author of profiles meets it: the real command in a process of its own. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { packagedCatalogue } from '@cardwright/dataprep';
import { fileURLToPath } from 'node:url';

const main = fileURLToPath(new URL('../src/main.ts', import.meta.url));

function check(file: string): { status: number | null; text: string } {
  const run = spawnSync(process.execPath, [main, 'profile', 'check', file], { encoding: 'utf8' });
  return { status: run.status, text: `${run.stdout}${run.stderr}` };
}

const profileFile = join(packagedCatalogue, 'profiles', 'vsdc-cvn18.json');

describe('cardwright profile check', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'cardwright-profile-'));
  });
  after(() => {
    rmSync(folder, { recursive: true });
  });

  it('shows the card that a sound profile makes: records, AFL, DGIs with sizes, tags by name', () => {
    const { status, text } = check(profileFile);
    assert.equal(status, 0, text);
    for (const expected of [
      /^vsdc-cvn18\.json is sound: profile vsdc-cvn18/m,
      /^AIP 3900 {2}DDA, cardholder verification, terminal risk management, CDA$/m,
      /^AFL 080101001001020018010101$/m,
      /^ {2}SFI 3: records 1 to 1, 1 signed$/m,
      /^cryptogram: IAD of 7 bytes that begins 06011203, UDK option A$/m,
      /^ {2}0301 {2}\d+ bytes {2}SFI 3 record 1$/m,
      /^ {8}5F24 {2}Application Expiration Date: \d{6}$/m,
      /^ {2}8010 {4}8 bytes {2}reference PIN \[padded, enciphered for the card\]$/m,
      /^stripe: track 1 of \d+ characters, track 2 of \d+$/m,
      /^ {2}8000 {3}48 bytes {2}application keys: AC, MAC, encipherment \[enciphered for the card\]$/m,
    ]) {
      assert.match(text, expected);
    }
  });

  it('shows the card of a product with the values of the product', () => {
    const { status, text } = check(join(packagedCatalogue, 'products', 'debit-std.json'));
    assert.equal(status, 0, text);
    assert.match(text, /50 {4}Application Label: "CARDWRIGHT DEBIT"/);
  });

  it('explains every fault of a profile and exits 1', () => {
    const file = join(folder, 'mine.json');
    const profile = JSON.parse(readFileSync(profileFile, 'utf8')) as { values: Record<string, string> };
    profile.values['82'] = '39';
    profile.values['9F56'] = 'no';
    writeFileSync(file, JSON.stringify(profile));
    const { status, text } = check(file);
    assert.equal(status, 1);
    assert.match(text, /^mine\.json cannot be used: 2 faults$/m);
    assert.match(
      text,
      /^mine\.json: values\.82 is "39"\n {2}allowed: 2 bytes in upper-case hexadecimal\n {2}fix: write 2 bytes in upper-case hexadecimal$/m,
    );
  });

  it('explains a file that is no JSON, and one that is not there', () => {
    const file = join(folder, 'broken.json');
    writeFileSync(file, '{');
    assert.match(check(file).text, /\(the file\) is not JSON/);
    const missing = check(join(folder, 'none.json'));
    assert.equal(missing.status, 1);
    assert.match(missing.text, /cannot be read \(ENOENT\)/);
  });
});
