// Parses each line of its input, a diagram as a JSON string, with mermaid, and answers with a line: null, or what is wrong.
// mermaid's text cleaning wants a document, which jsdom gives it. Both are found through the folder that is its argument.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const folder = createRequire(process.argv[2] + '/');
const { JSDOM } = folder('jsdom');
const { window } = new JSDOM('');
Object.assign(globalThis, { window, document: window.document });
const { default: mermaid } = await import(pathToFileURL(folder.resolve('mermaid').replace(/mermaid\.\w+$/, 'mermaid.core.mjs')));
console.log(JSON.stringify('ready'));
for await (const line of createInterface({ input: process.stdin })) {
  const said = await mermaid.parse(JSON.parse(line)).then(() => null, (error) => String(error));
  console.log(JSON.stringify(said));
}
