// A provider for tests: the npm library http-message-signatures verifies each request, and signs each answer.
//
//   node provider.js PORT ALGORITHM REQUEST-KEY-FILE RESPONSE-KEY-FILE
//
// The first key verifies requests (a shared secret, or an Ed25519 public key in PEM), the second signs answers. Below
// /tampered the body of the answer is changed after it was signed; below /unsigned it is not signed.
'use strict';
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const http = require('node:http');
const { httpbis, createSigner, createVerifier } = require('http-message-signatures');

const [port, algorithm, requestKey, responseKey] = process.argv.slice(2);
const verify = createVerifier(readFileSync(requestKey), algorithm);
const signer = createSigner(readFileSync(responseKey), algorithm, 'their-key');

const digestOf = (body) => `sha-256=:${createHash('sha256').update(body).digest('base64')}:`;

async function believed(message, body) {
  const requiredFields = ['@method', '@target-uri'].concat(body.length ? ['content-digest'] : []);
  if (body.length && String(message.headers['content-digest']) !== digestOf(body)) return false;
  const config = {
    requiredFields,
    requiredParams: ['created', 'keyid', 'nonce'],
    tolerance: 1, // the two clocks are one, but it may tick between them
    keyLookup: async ({ keyid }) => (keyid === 'our-key' ? { id: keyid, algs: [algorithm], verify } : null),
  };
  return (await httpbis.verifyMessage(config, message)) === true;
}

// A verifier that believes everything would prove nothing.
async function doubted(message, body) {
  const method = message.method === 'GET' ? 'HEAD' : 'GET';
  for (const changed of [{ ...message, method }, { ...message, url: `${message.url}x` }]) {
    if (await believed(changed, body)) return false;
  }
  return !body.length || !(await believed(message, Buffer.concat([body, Buffer.from(' ')])));
}

async function answer(request, response, body) {
  const message = { method: request.method, url: `http://${request.headers.host}${request.url}`, headers: request.headersDistinct };
  let status = 200;
  let text = `{"you":${JSON.stringify(body.toString())}}`;
  try {
    if (!(await believed(message, body))) throw new Error('not believed');
    if (!(await doubted(message, body))) throw new Error('changed, and believed');
  } catch (error) {
    [status, text] = [401, `${error.name}: ${error.message}`];
  }
  const headers = { 'content-type': 'application/json', 'content-digest': digestOf(text) };
  const fields = ['@status', 'content-digest', 'content-type', '@method;req', '@target-uri;req'];
  const params = ['created', 'keyid', 'alg'];
  const signed = await httpbis.signMessage({ key: signer, name: 'answer', fields, params }, { status, headers }, message);
  if (request.url.startsWith('/tampered')) text = text.replace('you', 'YOU');
  response.writeHead(status, request.url.startsWith('/unsigned') ? headers : signed.headers);
  response.end(text);
}

http.createServer((request, response) => {
  const parts = [];
  request.on('data', (part) => parts.push(part));
  request.on('end', () => answer(request, response, Buffer.concat(parts)).catch((error) => {
    response.writeHead(500);
    response.end(error.stack);
  }));
}).listen(Number(port), '127.0.0.1');
process.on('SIGINT', () => process.exit(0));
