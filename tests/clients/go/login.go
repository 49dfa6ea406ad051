package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/credentials/u2m"
	"github.com/databricks/databricks-sdk-go/credentials/u2m/cache"
	"github.com/databricks/databricks-sdk-go/service/iam"
)

// logIn signs a person in at DATABRICKS_HOST with the part of the SDK that `databricks auth login` is made
// of. In place of opening a browser it prints the URL. Afterwards it uses the tokens, lets them be renewed,
// and uses them as a password at PGHOST.
func logIn(ctx context.Context) error {
	host := os.Getenv("DATABRICKS_HOST")
	argument, err := u2m.NewBasicWorkspaceOAuthArgument(host)
	if err != nil {
		return err
	}
	tokens := cache.NewInMemoryTokenCache()
	auth, err := u2m.NewPersistentAuth(ctx,
		u2m.WithOAuthArgument(argument),
		u2m.WithTokenCache(tokens),
		u2m.WithBrowser(func(url string) error {
			_, err := fmt.Println(url)
			return err
		}),
	)
	if err != nil {
		return err
	}
	if err := auth.Challenge(); err != nil {
		return err
	}
	first, err := auth.Token()
	if err != nil {
		return err
	}
	known, err := tokens.Lookup(argument.GetCacheKey())
	if err != nil {
		return err
	}
	old := *known
	second, err := auth.ForceRefreshToken()
	if err != nil {
		return err
	}
	user, err := userOf(ctx, host, second.AccessToken)
	if err != nil {
		return err
	}
	role, err := currentUser(ctx, os.Getenv("PGHOST"), user, second.AccessToken)
	if err != nil {
		return err
	}
	// Two processes of one client may refresh at the same moment, with the same refresh token.
	if err := tokens.Store(argument.GetCacheKey(), &old); err != nil {
		return err
	}
	third, err := auth.ForceRefreshToken()
	if err != nil {
		return err
	}
	fmt.Println(user)
	return errors.Join(
		expect("role", role, user),
		expect("renewed token is another", first.AccessToken != second.AccessToken, true),
		expect("its own client may use a refresh token again at once", third.AccessToken != "", true),
	)
}

func userOf(ctx context.Context, host, token string) (string, error) {
	w, err := databricks.NewWorkspaceClient(&databricks.Config{Host: host, Token: token, AuthType: "pat"})
	if err != nil {
		return "", err
	}
	me, err := w.CurrentUser.Me(ctx, iam.MeRequest{})
	if err != nil {
		return "", err
	}
	return me.UserName, nil
}
