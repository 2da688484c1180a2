// An authorization server with one client, as the tests of OAuth2 need it: opaque tokens, or JWTs for the resource
// urn:jwt. The settings come as JSON in the one argument; every request for a token is a line of output.
const { modules, port, client, lifetime } = JSON.parse(process.argv[2]);
const { Provider, errors } = await import(`${modules}/oidc-provider/lib/index.js`);

const issuer = `http://127.0.0.1:${port}`;
const provider = new Provider(issuer, {
  clients: [
    { ...client, grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
    { client_id: 'resource-server', client_secret: 'asks-about-tokens', grant_types: ['client_credentials'], redirect_uris: [], response_types: [] },
  ],
  scopes: ['orders:read', 'orders:write'],
  ttl: { ClientCredentials: lifetime },
  features: {
    devInteractions: { enabled: false },
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (ctx, resource) => {
        if (resource !== 'urn:jwt') throw new errors.InvalidTarget();
        return { scope: 'orders:read orders:write', accessTokenFormat: 'jwt', accessTokenTTL: lifetime };
      },
    },
  },
});
provider.on('grant.success', (ctx) => console.log('granted', ctx.oidc.client.clientId));
provider.on('grant.error', (ctx, error) => console.log('refused', error.error, error.error_detail ?? ''));
provider.on('server_error', (ctx, error) => console.error(error));
provider.listen(port, '127.0.0.1');
