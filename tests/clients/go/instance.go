package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/service/database"
	"github.com/databricks/databricks-sdk-go/service/iam"
)

// lifeOfAnInstance makes, uses, stops, starts, resizes and deletes one, as the CLI and Terraform do: both
// are built on this SDK.
func lifeOfAnInstance(ctx context.Context) error {
	w, err := databricks.NewWorkspaceClient()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("go%d", time.Now().UnixNano())
	wait, err := w.Database.CreateDatabaseInstance(ctx, database.CreateDatabaseInstanceRequest{
		DatabaseInstance: database.DatabaseInstance{
			Name: name, Capacity: "CU_1", RetentionWindowInDays: 9,
			CustomTags: []database.CustomTag{{Key: "team", Value: "shop"}},
		},
	})
	if err != nil {
		return err
	}
	if err := expect("the name in the answer", wait.Response.Name, name); err != nil {
		return err
	}
	made, err := wait.Get()
	if err != nil {
		return err
	}
	return errors.Join(
		use(ctx, w, made), change(ctx, w, name), updateAsTerraform(ctx, w, name), remove(ctx, w, name),
	)
}

func use(ctx context.Context, w *databricks.WorkspaceClient, made *database.DatabaseInstance) error {
	found, err := w.Database.FindDatabaseInstanceByUid(ctx, database.FindDatabaseInstanceByUidRequest{Uid: made.Uid})
	if err != nil {
		return err
	}
	all, err := w.Database.ListDatabaseInstancesAll(ctx, database.ListDatabaseInstancesRequest{PageSize: 1})
	if err != nil {
		return err
	}
	listed := 0
	for _, one := range all {
		if one.Uid == made.Uid {
			listed++
		}
	}
	me, err := w.CurrentUser.Me(ctx, iam.MeRequest{})
	if err != nil {
		return err
	}
	credential, err := w.Database.GenerateDatabaseCredential(ctx, database.GenerateDatabaseCredentialRequest{
		InstanceNames: []string{made.Name},
	})
	if err != nil {
		return err
	}
	if _, err := time.Parse(time.RFC3339, credential.ExpirationTime); err != nil {
		return err
	}
	role, err := currentUser(ctx, made.ReadWriteDns, me.UserName, credential.Token)
	_, again := w.Database.CreateDatabaseInstance(ctx, database.CreateDatabaseInstanceRequest{
		DatabaseInstance: database.DatabaseInstance{Name: made.Name, Capacity: "CU_8"},
	})
	_, unknown := w.Database.GetDatabaseInstanceByName(ctx, "no-such-instance")
	return errors.Join(
		err,
		expect("role", role, me.UserName),
		expect("creator", made.Creator, me.UserName),
		expect("found by uid", found.Name, made.Name),
		expect("times listed", listed, 1),
		expect("retention", made.EffectiveRetentionWindowInDays, 9),
		expect("taken name is a conflict", errors.Is(again, apierr.ErrResourceConflict), true),
		expect("unknown is not found", errors.Is(unknown, apierr.ErrNotFound), true),
		expect("unknown is missing", apierr.IsMissing(unknown), true),
	)
}

// change also sends what the command line sends for `--stopped=false`: a mask, and an empty body.
func change(ctx context.Context, w *databricks.WorkspaceClient, name string) error {
	steps := []struct {
		mask   string
		change database.DatabaseInstance
		state  database.DatabaseInstanceState
	}{
		{"stopped", database.DatabaseInstance{Stopped: true}, database.DatabaseInstanceStateStopped},
		{"stopped", database.DatabaseInstance{}, database.DatabaseInstanceStateAvailable},
		{"*", database.DatabaseInstance{Name: name, Capacity: "CU_2"}, database.DatabaseInstanceStateAvailable},
	}
	for _, step := range steps {
		_, err := w.Database.UpdateDatabaseInstance(ctx, database.UpdateDatabaseInstanceRequest{
			Name: name, DatabaseInstance: step.change, UpdateMask: step.mask,
		})
		if err != nil {
			return fmt.Errorf("update of %s: %w", step.mask, err)
		}
		if err := waitForState(ctx, w, name, step.state); err != nil {
			return err
		}
	}
	seen, err := w.Database.GetDatabaseInstanceByName(ctx, name)
	if err != nil {
		return err
	}
	return errors.Join(
		expect("capacity", seen.EffectiveCapacity, "CU_2"),
		expect("retention after an update of everything", seen.EffectiveRetentionWindowInDays, 9),
	)
}

func waitForState(
	ctx context.Context, w *databricks.WorkspaceClient, name string, state database.DatabaseInstanceState,
) error {
	return until(ctx, fmt.Sprintf("%s is %s", name, state), func() (bool, error) {
		seen, err := w.Database.GetDatabaseInstanceByName(ctx, name)
		return err == nil && seen.State == state, err
	})
}

func remove(ctx context.Context, w *databricks.WorkspaceClient, name string) error {
	if err := w.Database.DeleteDatabaseInstanceByName(ctx, name); err != nil {
		return err
	}
	return until(ctx, name+" is gone", func() (bool, error) {
		_, err := w.Database.GetDatabaseInstanceByName(ctx, name)
		if apierr.IsMissing(err) {
			return true, nil
		}
		return false, err
	})
}

// until asks again and again, and gives up with the context.
func until(ctx context.Context, what string, probe func() (bool, error)) error {
	for {
		done, err := probe()
		if done || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}
