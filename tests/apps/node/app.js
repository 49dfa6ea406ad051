// A Node app with a pool of node-postgres, which verifies the server: each login asks for an access token.

const fs = require("node:fs");
const http = require("node:http");
const { Pool } = require("pg");

const env = process.env;

async function accessToken() {
  const basic = Buffer.from(`${env.DATABRICKS_CLIENT_ID}:${env.DATABRICKS_CLIENT_SECRET}`);
  const answer = await fetch(`${env.DATABRICKS_HOST}/oidc/v1/token`, {
    method: "POST",
    headers: { Authorization: `Basic ${basic.toString("base64")}` },
    body: new URLSearchParams({ grant_type: "client_credentials", scope: "all-apis" }),
  });
  if (!answer.ok) throw new Error(`no token: ${answer.status} ${await answer.text()}`);
  return (await answer.json()).access_token;
}

const pool = new Pool({
  password: accessToken,
  ssl: { ca: fs.readFileSync(env.PGSSLROOTCERT), rejectUnauthorized: true },
  max: 4,
});
// A connection that ends while it is idle is replaced by the pool.
pool.on("error", (error) => console.error("an idle connection ended:", error.message));

async function visit() {
  await pool.query("CREATE SCHEMA IF NOT EXISTS node_app");
  await pool.query("CREATE TABLE IF NOT EXISTS node_app.visits (at timestamptz)");
  await pool.query("INSERT INTO node_app.visits VALUES (now())");
  const { rows } = await pool.query(
    "SELECT current_user AS user, (SELECT count(*)::int FROM node_app.visits) AS visits",
  );
  return { greeting: env.GREETING, ...rows[0] };
}

http
  .createServer(async (_request, response) => {
    try {
      response.end(JSON.stringify(await visit()));
    } catch (error) {
      response.statusCode = 500;
      response.end(String(error));
    }
  })
  .listen(Number(env.DATABRICKS_APP_PORT), "127.0.0.1");
