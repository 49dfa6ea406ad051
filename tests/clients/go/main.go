// The official Go SDK and pgx at work on a Lakeport server; run by tests/test_go_client.py.
//
// The first argument names what to do; settings come from the environment, as for every Databricks
// client. Ends with the line "ok", or with the error on stderr and exit code 1.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/service/iam"
	"github.com/jackc/pgx/v5"
)

var jobs = map[string]func(context.Context) error{
	"instance":   lifeOfAnInstance,
	"login":      logIn,
	"principals": principalsAsTerraform,
	"serve":      serveATable,
	"who":        who,
}

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	job, known := jobs[strings.Join(os.Args[1:], " ")]
	if !known {
		fail(fmt.Errorf("no such job: %v", os.Args[1:]))
	}
	if err := job(ctx); err != nil {
		fail(err)
	}
	fmt.Println("ok")
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// who prints how it has authenticated and as whom.
func who(ctx context.Context) error {
	w, err := databricks.NewWorkspaceClient()
	if err != nil {
		return err
	}
	me, err := w.CurrentUser.Me(ctx, iam.MeRequest{})
	if err != nil {
		return err
	}
	fmt.Println(w.Config.AuthType, me.UserName)
	return nil
}

// currentUser logs in to PostgreSQL, as applications do it, and asks for its role.
func currentUser(ctx context.Context, host, user, token string) (string, error) {
	config, err := pgx.ParseConfig("host=" + host + " dbname=databricks_postgres sslmode=require")
	if err != nil {
		return "", err
	}
	config.User, config.Password = user, token
	connection, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return "", err
	}
	defer connection.Close(ctx)
	var role string
	err = connection.QueryRow(ctx, "SELECT current_user").Scan(&role)
	return role, err
}

func expect(what string, seen, wanted any) error {
	if seen != wanted {
		return fmt.Errorf("%s: %v, wanted %v", what, seen, wanted)
	}
	return nil
}
