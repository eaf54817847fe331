// Evaluates GitHub's expressions with GitHub's own library, whose folder is the argument: for each
// line {text, contexts, functions: {name: answer}} it writes a line, what the text comes to.
import { createInterface } from 'node:readline';

const { data, Evaluator, Lexer, Parser } = await import(`${process.argv[2]}/dist/index.js`);
const { reviver } = await import(`${process.argv[2]}/dist/data/reviver.js`);
const { replacer } = await import(`${process.argv[2]}/dist/data/replacer.js`);

for await (const line of createInterface({ input: process.stdin })) {
  const { text, contexts, functions } = JSON.parse(line);
  const known = Object.entries(functions).map(([name, answer]) => ({
    name,
    minArgs: 0,
    maxArgs: 0,
    call: () => new data.BooleanData(answer),
  }));
  const parser = new Parser(new Lexer(text).lex().tokens, Object.keys(contexts), known);
  const context = JSON.parse(JSON.stringify(contexts), reviver);
  const called = new Map(known.map((each) => [each.name, each]));
  console.log(JSON.stringify(new Evaluator(parser.parse(), context, called).evaluate(), replacer));
}
