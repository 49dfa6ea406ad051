package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/databricks/databricks-sdk-go"
	"github.com/databricks/databricks-sdk-go/apierr"
	"github.com/databricks/databricks-sdk-go/service/database"
	"github.com/databricks/databricks-sdk-go/service/pipelines"
)

// serveATable registers a database of the instance INSTANCE as the catalog CATALOG and keeps a copy of the
// Delta table SOURCE in it, once by its creation and once by an update of its pipeline.
func serveATable(ctx context.Context) error {
	w, err := databricks.NewWorkspaceClient()
	if err != nil {
		return err
	}
	instance, catalog := os.Getenv("INSTANCE"), os.Getenv("CATALOG")
	registered, err := w.Database.CreateDatabaseCatalog(ctx, database.CreateDatabaseCatalogRequest{
		Catalog: database.DatabaseCatalog{
			Name: catalog, DatabaseInstanceName: instance, DatabaseName: catalog,
			CreateDatabaseIfNotExists: true,
		},
	})
	if err != nil {
		return err
	}
	catalogs, err := w.Database.ListDatabaseCatalogsAll(ctx, database.ListDatabaseCatalogsRequest{InstanceName: instance})
	if err != nil {
		return err
	}
	if err := expect("catalog is listed", hasCatalog(catalogs, registered.Uid), true); err != nil {
		return err
	}
	return errors.Join(sync(ctx, w, catalog+".shop.served"), w.Database.DeleteDatabaseCatalogByName(ctx, catalog))
}

func hasCatalog(catalogs []database.DatabaseCatalog, uid string) bool {
	for _, catalog := range catalogs {
		if catalog.Uid == uid {
			return true
		}
	}
	return false
}

func sync(ctx context.Context, w *databricks.WorkspaceClient, name string) error {
	_, err := w.Database.CreateSyncedDatabaseTable(ctx, database.CreateSyncedDatabaseTableRequest{
		SyncedTable: database.SyncedDatabaseTable{
			Name: name,
			Spec: &database.SyncedTableSpec{
				SourceTableFullName:            os.Getenv("SOURCE"),
				PrimaryKeyColumns:              []string{"id"},
				SchedulingPolicy:               database.SyncedTableSchedulingPolicySnapshot,
				CreateDatabaseObjectsIfMissing: true,
			},
		},
	})
	if err != nil {
		return err
	}
	pipeline, err := waitOnline(ctx, w, name)
	if err != nil {
		return err
	}
	update, err := w.Pipelines.StartUpdate(ctx, pipelines.StartUpdate{PipelineId: pipeline})
	if err != nil {
		return err
	}
	err = until(ctx, "update of "+name, func() (bool, error) {
		seen, err := w.Pipelines.GetUpdateByPipelineIdAndUpdateId(ctx, pipeline, update.UpdateId)
		if err != nil {
			return false, err
		}
		if seen.Update.State == pipelines.UpdateInfoStateFailed {
			return false, fmt.Errorf("the update of %s has failed", name)
		}
		return seen.Update.State == pipelines.UpdateInfoStateCompleted, nil
	})
	if err != nil {
		return err
	}
	if err := w.Database.DeleteSyncedDatabaseTableByName(ctx, name); err != nil {
		return err
	}
	return until(ctx, name+" is gone", func() (bool, error) {
		_, err := w.Database.GetSyncedDatabaseTableByName(ctx, name)
		if apierr.IsMissing(err) {
			return true, nil
		}
		return false, err
	})
}

// waitOnline returns the table's pipeline.
func waitOnline(ctx context.Context, w *databricks.WorkspaceClient, name string) (string, error) {
	var pipeline string
	err := until(ctx, name+" is online", func() (bool, error) {
		seen, err := w.Database.GetSyncedDatabaseTableByName(ctx, name)
		if err != nil {
			return false, err
		}
		status := seen.DataSynchronizationStatus
		pipeline = status.PipelineId
		if status.DetailedState == database.SyncedTableStateSyncedTableOfflineFailed {
			return false, errors.New(status.Message)
		}
		return status.DetailedState == database.SyncedTableStateSyncedTableOnlineNoPendingUpdate, nil
	})
	return pipeline, err
}
