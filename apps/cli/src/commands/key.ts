/** The `key` commands and their options. All but `ceremony witness` and `verify` work on the keys of a stopped vault. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { importCertificateCommand, requestCertificateCommand } from './key-certificate.ts';
import { holdCeremonyCommand, makeWitnessCommand, verifyCeremonyCommand } from './key-ceremony.ts';
import {
  destroyKeyCommand,
  exportKeyCommand,
  generatedUsageNames,
  generateKeyCommand,
  importKeyCommand,
  listKeysCommand,
  retireKeyCommand,
  rotateKeyCommand,
} from './key-life.ts';

function count(least: number, most: number) {
  return (text: string): number => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value >= least && value <= most) return value;
    throw new InvalidArgumentError(`It is a number from ${least} to ${most}.`);
  };
}

const ceremonyUsages = ['IMK-AC', 'IMK-SMI', 'IMK-SMC', 'CVK', 'PIN', 'PVK', 'KBPK', 'KMC'];
const ceremonyAlgorithms = ['TDES-2KEY', 'AES-128', 'AES-256'];

const vaultOption = (): Option =>
  new Option('--vault <config>', "the vault's configuration; default: that of `npm start`");

function digits(form: RegExp, what: string) {
  return (text: string): string => {
    if (form.test(text)) return text;
    throw new InvalidArgumentError(`It is ${what}.`);
  };
}

function addCertificateCommands(key: Command): void {
  const certificate = key.command('certificate').description("issuer keys and a payment system's CA");
  certificate
    .command('request')
    .description('print a request for a certificate of an issuer key')
    .argument('<name>', 'such as issuer/2')
    .requiredOption(
      '--rid <rid>',
      'of the payment system',
      digits(/^[0-9A-F]{10}$/, 'ten hexadecimal digits in upper case'),
    )
    .requiredOption(
      '--ca-index <index>',
      'of the CA key',
      digits(/^[0-9A-F]{2}$/, 'two hexadecimal digits in upper case'),
    )
    .requiredOption(
      '--issuer-number <number>',
      'first digits of the card numbers',
      digits(/^\d{3,8}$/, 'three to eight digits'),
    )
    .requiredOption(
      '--expires <YYMM>',
      'last month that is asked for',
      digits(/^\d\d(0[1-9]|1[0-2])$/, 'a month as YYMM'),
    )
    .addOption(vaultOption())
    .action(requestCertificateCommand);
  certificate
    .command('import')
    .description('judge what the CA sent back, and keep it for the vault')
    .argument('<file>', "the CA's answer")
    .requiredOption('--name <name>', 'the issuer key')
    .requiredOption('--request <file>', 'the request that it answers')
    .option('--replace', 'take the place of an older certificate')
    .addOption(vaultOption())
    .action(importCertificateCommand);
}

function addCeremonyCommands(key: Command): void {
  const ceremony = key.command('ceremony').description('key ceremonies');
  ceremony
    .command('witness')
    .description("make a witness's key pair, FILE and FILE.pub")
    .argument('<file>')
    .action(makeWitnessCommand);
  ceremony
    .command('hold')
    .description('enter a key in components, at this terminal (in a sandbox also from a pipe)')
    .argument('<name>', 'such as imk-ac/2')
    .addOption(new Option('--usage <usage>').choices(ceremonyUsages).makeOptionMandatory())
    .addOption(new Option('--algorithm <algorithm>').choices(ceremonyAlgorithms).makeOptionMandatory())
    .option('--components <count>', 'how many custodians', count(2, 5), 3)
    .requiredOption('--witness <name>', 'who signs the transcript')
    .requiredOption('--witness-key <file>', 'made by `key ceremony witness`')
    .requiredOption('--transcript <file>', 'written, never overwritten')
    .option('--exportable', 'the key may leave in a key block')
    .addOption(vaultOption())
    .action(holdCeremonyCommand);
  ceremony
    .command('verify')
    .description('verify transcripts offline, alone and against each other')
    .argument('<files...>')
    .requiredOption('--witness <file>', "the witness's public key")
    .action(verifyCeremonyCommand);
}

export function addKeyCommands(program: Command): void {
  const key = program.command('key').description('keys of a stopped vault');
  addCeremonyCommands(key);
  addCertificateCommands(key);
  key
    .command('list')
    .description('every key that ever was, with state, check value and periods')
    .option('--json', 'print JSON')
    .option(
      '--due <days>',
      'only keys that end within so many days; exit code 1 when there are any',
      count(0, 36500),
    )
    .addOption(vaultOption())
    .action(listKeysCommand);
  key
    .command('generate')
    .description('make a random key, in the token where there is one')
    .argument('<name>', 'such as issuer/2')
    .addOption(new Option('--usage <usage>').choices(generatedUsageNames).makeOptionMandatory())
    .option('--bits <bits>', 'length of an RSA key', count(1024, 1984), 1408)
    .requiredOption('--custodian <name>', 'who answers for the key')
    .addOption(vaultOption())
    .action(generateKeyCommand);
  key
    .command('import')
    .description('import an X9.143 key block (version B or D)')
    .argument('<file>')
    .requiredOption('--name <name>', 'name of the key, such as imk-ac/2')
    .requiredOption('--kbpk <name>', 'key block protection key')
    .requiredOption('--custodian <name>', 'who answers for the key')
    .option('--accept-unlabelled', 'accept a block that does not name its environment')
    .addOption(vaultOption())
    .action(importKeyCommand);
  key
    .command('export')
    .description('print a key as an X9.143 version D block')
    .argument('<name>')
    .requiredOption('--kbpk <name>', 'key block protection key')
    .option('--exportable', 'the receiver may pass it on')
    .addOption(vaultOption())
    .action(exportKeyCommand);
  key
    .command('rotate')
    .description("make the next version of a family's key")
    .argument('<family>', 'such as imk-ac, for its newest key; or one key, such as imk-ac/1')
    .requiredOption('--overlap-days <days>', 'how long the old one still protects', count(0, 3650))
    .addOption(vaultOption())
    .action(rotateKeyCommand);
  key
    .command('retire')
    .description('let a key only verify and decrypt from now on')
    .argument('<name>')
    .addOption(vaultOption())
    .action(retireKeyCommand);
  key
    .command('destroy')
    .description('destroy a key by order of two people and print the record')
    .argument('<name>')
    .requiredOption('--by <name...>', 'the two people')
    .requiredOption('--reason <text>')
    .addOption(vaultOption())
    .action(destroyKeyCommand);
}
