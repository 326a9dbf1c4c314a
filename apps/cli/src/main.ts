#!/usr/bin/env node
/**
 * The `cardwright` command. Each sub-command is one file in `commands/`.
 *
 * Exit codes: 0 done, 1 the card was not made or a process failed, 2 the command line is wrong.
 */
import { Command, InvalidArgumentError } from 'commander';
import { issueCardCommand } from './commands/card-issue.ts';
import { checkProfileCommand } from './commands/profile-check.ts';
import { demoCommand } from './commands/demo.ts';
import { addKeyCommands } from './commands/key.ts';
import { resetCommand } from './commands/reset.ts';
import { showOrderCommand } from './commands/order-show.ts';
import { startCommand } from './commands/start.ts';
import { vaultStatusCommand } from './commands/vault-status.ts';

function secureChannel(value: string): 'SCP02' | 'SCP03' {
  if (value === 'SCP02' || value === 'SCP03') return value;
  throw new InvalidArgumentError('It is SCP02 or SCP03.');
}

/** Refused in our own words: the parser's would show the value, and it may hold a password. */
function databaseUrl(value: string): string {
  if (/^postgres(ql)?:\/\//.test(value) && URL.canParse(value)) return value;
  process.stderr.write('error: --database is an address like postgres://user:password@host:5432/database\n');
  return process.exit(2);
}

const program = new Command('cardwright')
  .description(
    'Instant issuance of payment cards: D1-compatible back end, station agent, simulated hardware.',
  )
  .exitOverride((error) => {
    process.exit(error.exitCode === 0 ? 0 : 2);
  });

program
  .command('demo')
  .description('make one card from order to hand-over, then stop')
  .option('--name <name>', 'name on the card', 'TARO YAMADA')
  .option('--json', 'print one JSON object instead of the timeline')
  .option('--fault <name>', 'make the simulated hardware fail; see --list-faults')
  .option('--list-faults', 'list the faults of the simulated hardware')
  .option(
    '--secure-channel <protocol>',
    'what the simulated chips speak: SCP03 or SCP02',
    secureChannel,
    'SCP03',
  )
  .option('--database <url>', 'keep the data in this PostgreSQL, in a schema of its own', databaseUrl)
  .action(demoCommand);

program
  .command('start')
  .description('start the whole system and keep it running')
  .option(
    '--secure-channel <protocol>',
    'what the simulated chips speak: SCP03 or SCP02',
    secureChannel,
    'SCP03',
  )
  .option('--realistic', 'let the simulated printer take as long as a real one')
  .option('--database <url>', 'keep the data in this PostgreSQL, in a schema of its own', databaseUrl)
  .action(startCommand);

program.command('reset').description('remove everything that demo and start have made').action(resetCommand);

const card = program.command('card').description('cards');
card
  .command('issue')
  .description('order a card through the running system and wait for it')
  .requiredOption('--name <name>', 'name on the card')
  .option('--second-name <name>', 'second printed line, for example in Japanese')
  .option('--product <id>', 'card product: DEBIT_STD (usual) or DEBIT_VSDC')
  .option('--station <id>', 'personalization station')
  .option('--json', 'print one JSON object')
  .action(issueCardCommand);

const profile = program.command('profile').description('chip profiles and products');
profile
  .command('check')
  .description('explain what is wrong with a profile or product file, or show the card that would result')
  .argument('<file>')
  .action(checkProfileCommand);

const order = program.command('order').description('orders');
order
  .command('show')
  .description('show what the running system knows of an order')
  .argument('<operationId>')
  .action(showOrderCommand);

const vault = program.command('vault').description('vault');
vault
  .command('status')
  .description('show what holds the keys, which operations it proved, and where key bytes are seen')
  .option('--json', 'print one JSON object')
  .action(vaultStatusCommand);
addKeyCommands(program);

await program.parseAsync();
