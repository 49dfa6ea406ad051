package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/service/database"
	"github.com/databricks/databricks-sdk-go/service/iam"
)

// everyField is the mask of each update that Terraform sends, whatever its configuration sets.
const everyField = "capacity,custom_tags,enable_pg_native_login,enable_readable_secondaries,node_count," +
	"retention_window_in_days,stopped,usage_policy_id"

// updateAsTerraform sets a capacity alone. Terraform takes a field for set if the SDK has found it in the
// answer, with whatever value.
func updateAsTerraform(ctx context.Context, w *databricks.WorkspaceClient, name string) error {
	seen, err := w.Database.UpdateDatabaseInstance(ctx, database.UpdateDatabaseInstanceRequest{
		Name: name, UpdateMask: everyField,
		DatabaseInstance: database.DatabaseInstance{Name: name, Capacity: "CU_2"},
	})
	if err != nil {
		return err
	}
	errs := []error{
		expect("capacity", seen.Capacity, "CU_2"),
		expect("tags in the answer", len(seen.CustomTags), 0),
		expect("retention in effect", seen.EffectiveRetentionWindowInDays, 7),
	}
	unset := []string{"EnablePgNativeLogin", "EnableReadableSecondaries", "NodeCount", "RetentionWindowInDays", "Stopped", "UsagePolicyId"}
	for _, field := range unset {
		errs = append(errs, expect("whether "+field+" is answered", slices.Contains(seen.ForceSendFields, field), false))
	}
	return errors.Join(errs...)
}

// principalsAsTerraform makes principals as its provider does: with one entitlement that says nothing.
func principalsAsTerraform(ctx context.Context) error {
	w, err := databricks.NewWorkspaceClient()
	if err != nil {
		return err
	}
	name := fmt.Sprintf("tf%d", time.Now().UnixNano())
	nothing := []iam.ComplexValue{{}}
	job, err := w.ServicePrincipals.Create(ctx, iam.ServicePrincipal{
		DisplayName: name, Active: true, Entitlements: nothing, Roles: nothing, Groups: nothing,
	})
	if err != nil {
		return err
	}
	seen, err := w.ServicePrincipals.GetById(ctx, job.Id)
	if err != nil {
		return err
	}
	group, err := w.Groups.Create(ctx, iam.Group{DisplayName: name, Entitlements: nothing, Members: nothing})
	if err != nil {
		return err
	}
	return errors.Join(
		expect("application id", seen.ApplicationId, job.ApplicationId),
		expect("application id is there", job.ApplicationId != "", true),
		expect("entitlements", len(job.Entitlements)+len(seen.Entitlements)+len(group.Entitlements), 0),
		expect("roles", len(seen.Roles), 0),
		expect("members", len(group.Members), 0),
		w.ServicePrincipals.DeleteById(ctx, job.Id),
		w.Groups.DeleteById(ctx, group.Id),
	)
}
