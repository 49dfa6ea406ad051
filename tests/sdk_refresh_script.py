"""Renews a login through the official SDK; run by test_oauth_u2m.py. Argument: the token endpoint. Says "ready", reads
a refresh token, and prints the new access token and refresh token."""

import json
import sys

from databricks.sdk.oauth import SessionCredentials, Token


def main() -> None:
    print("ready", flush=True)
    token = Token(access_token="expired", token_type="Bearer", refresh_token=input())
    renewed = SessionCredentials(token, sys.argv[1], "databricks-cli").refresh()
    print(json.dumps({"access_token": renewed.access_token, "refresh_token": renewed.refresh_token}))


if __name__ == "__main__":
    main()
