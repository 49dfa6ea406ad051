// A certified OpenID provider for the tests of logins at an outside provider: PORT on the loopback address,
// one client, and whoever types a name is that person. Names that begin with "unverified" have an address
// that was not verified; "second-" changes who is behind an address.
import Provider from 'oidc-provider';

const { PORT, CLIENT_ID, CLIENT_SECRET, REDIRECT_URI } = process.env;

const provider = new Provider(`http://127.0.0.1:${PORT}`, {
  clients: [{ client_id: CLIENT_ID, client_secret: CLIENT_SECRET, redirect_uris: [REDIRECT_URI] }],
  claims: { openid: ['sub'], email: ['email', 'email_verified'] },
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({
      sub: id,
      email: id.replace('second-', ''),
      email_verified: !id.startsWith('unverified'),
    }),
  }),
});

provider.listen(Number(PORT), '127.0.0.1', () => console.log('listening'));
