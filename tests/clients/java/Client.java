import com.databricks.sdk.WorkspaceClient;
import com.databricks.sdk.core.error.platform.NotFound;
import com.databricks.sdk.core.error.platform.ResourceConflict;
import com.databricks.sdk.service.database.CreateDatabaseCatalogRequest;
import com.databricks.sdk.service.database.CreateDatabaseInstanceRequest;
import com.databricks.sdk.service.database.CreateSyncedDatabaseTableRequest;
import com.databricks.sdk.service.database.DatabaseCatalog;
import com.databricks.sdk.service.database.DatabaseInstance;
import com.databricks.sdk.service.database.DatabaseInstanceState;
import com.databricks.sdk.service.database.FindDatabaseInstanceByUidRequest;
import com.databricks.sdk.service.database.GenerateDatabaseCredentialRequest;
import com.databricks.sdk.service.database.ListDatabaseInstancesRequest;
import com.databricks.sdk.service.database.SyncedDatabaseTable;
import com.databricks.sdk.service.database.SyncedTableSchedulingPolicy;
import com.databricks.sdk.service.database.SyncedTableSpec;
import com.databricks.sdk.service.database.SyncedTableState;
import com.databricks.sdk.service.database.UpdateDatabaseInstanceRequest;
import com.databricks.sdk.service.iam.MeRequest;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.time.Duration;
import java.time.Instant;
import java.util.List;
import java.util.Objects;
import java.util.Properties;
import java.util.concurrent.Callable;

/**
 * The official Java SDK and JDBC at work on a Lakeport server; run by tests/test_java_client.py.
 *
 * <p>The argument names what to do; settings come from the environment, as for every Databricks client.
 * Ends with the line "ok".
 */
public final class Client {
    private static final Duration DEADLINE = Duration.ofMinutes(2);

    private final WorkspaceClient w = new WorkspaceClient();

    public static void main(String[] arguments) throws Exception {
        var client = new Client();
        switch (arguments[0]) {
            case "who" -> client.who();
            case "instance" -> client.lifeOfAnInstance();
            case "serve" -> client.serveATable();
            default -> throw new IllegalArgumentException(arguments[0]);
        }
        System.out.println("ok");
    }

    private String user() {
        return w.currentUser().me(new MeRequest()).getUserName();
    }

    private void who() {
        var user = user();
        System.out.println(w.config().getAuthType() + " " + user);
    }

    private void lifeOfAnInstance() throws Exception {
        var name = "java" + System.nanoTime();
        var wanted = new DatabaseInstance().setName(name).setCapacity("CU_1").setRetentionWindowInDays(9L);
        var made = w.database()
                .createDatabaseInstance(new CreateDatabaseInstanceRequest().setDatabaseInstance(wanted))
                .get(DEADLINE);
        try {
            find(made);
            logIn(made);
            change(name);
            refusals(name);
        } finally {
            w.database().deleteDatabaseInstance(name);
        }
        until(name + " is gone", () -> isMissing(name));
    }

    private void find(DatabaseInstance made) {
        var found = w.database().findDatabaseInstanceByUid(
                new FindDatabaseInstanceByUidRequest().setUid(made.getUid()));
        expect("found by uid", found.getName(), made.getName());
        expect("creator", made.getCreator(), user());
        var listed = 0;
        for (var one : w.database().listDatabaseInstances(new ListDatabaseInstancesRequest().setPageSize(1L))) {
            listed += one.getUid().equals(made.getUid()) ? 1 : 0;
        }
        expect("times listed", listed, 1);
    }

    private void logIn(DatabaseInstance made) throws SQLException {
        var credential = w.database().generateDatabaseCredential(
                new GenerateDatabaseCredentialRequest().setInstanceNames(List.of(made.getName())));
        if (!Instant.parse(credential.getExpirationTime()).isAfter(Instant.now())) {
            throw new AssertionError("the credential has expired: " + credential.getExpirationTime());
        }
        var login = new Properties();
        login.setProperty("user", user());
        login.setProperty("password", credential.getToken());
        login.setProperty("sslmode", "require");
        var url = "jdbc:postgresql://" + made.getReadWriteDns() + ":5432/databricks_postgres";
        try (Connection connection = DriverManager.getConnection(url, login)) {
            connection.setAutoCommit(false);
            try (var statement = connection.prepareStatement("SELECT current_user, ?::int * 7")) {
                statement.setInt(1, 6);
                try (ResultSet rows = statement.executeQuery()) {
                    rows.next();
                    expect("role", rows.getString(1), user());
                    expect("6 times 7", rows.getInt(2), 42);
                }
            }
            connection.commit();
        }
        login.setProperty("password", credential.getToken() + "x");
        try {
            DriverManager.getConnection(url, login).close();
            throw new AssertionError("a wrong token was accepted");
        } catch (SQLException refused) {
            expect("SQLSTATE", refused.getSQLState(), "28P01");
        }
    }

    private void change(String name) throws Exception {
        update(name, "stopped", new DatabaseInstance().setStopped(true), DatabaseInstanceState.STOPPED);
        update(name, "stopped", new DatabaseInstance().setStopped(false), DatabaseInstanceState.AVAILABLE);
        update(name, "capacity", new DatabaseInstance().setCapacity("CU_2"), DatabaseInstanceState.AVAILABLE);
        var seen = w.database().getDatabaseInstance(name);
        expect("capacity", seen.getEffectiveCapacity(), "CU_2");
        expect("retention", seen.getEffectiveRetentionWindowInDays(), 9L);
    }

    private void update(String name, String mask, DatabaseInstance change, DatabaseInstanceState state)
            throws Exception {
        w.database().updateDatabaseInstance(new UpdateDatabaseInstanceRequest()
                .setName(name).setDatabaseInstance(change).setUpdateMask(mask));
        until(name + " is " + state, () -> w.database().getDatabaseInstance(name).getState() == state);
    }

    private void refusals(String taken) {
        try {
            w.database().getDatabaseInstance("no-such-instance");
            throw new AssertionError("an unknown instance was found");
        } catch (NotFound expected) {
            expect("says so", expected.getMessage().contains("not found"), true);
        }
        try {
            w.database().createDatabaseInstance(new CreateDatabaseInstanceRequest()
                    .setDatabaseInstance(new DatabaseInstance().setName(taken).setCapacity("CU_8")));
            throw new AssertionError("a taken name was given again");
        } catch (ResourceConflict expected) {
            expect("says so", expected.getMessage().contains("already exists"), true);
        }
    }

    private void serveATable() throws Exception {
        var catalog = System.getenv("CATALOG");
        w.database().createDatabaseCatalog(new CreateDatabaseCatalogRequest().setCatalog(new DatabaseCatalog()
                .setName(catalog)
                .setDatabaseInstanceName(System.getenv("INSTANCE"))
                .setDatabaseName(catalog)
                .setCreateDatabaseIfNotExists(true)));
        var name = catalog + ".shop.served";
        var spec = new SyncedTableSpec()
                .setSourceTableFullName(System.getenv("SOURCE"))
                .setPrimaryKeyColumns(List.of("id"))
                .setSchedulingPolicy(SyncedTableSchedulingPolicy.SNAPSHOT)
                .setCreateDatabaseObjectsIfMissing(true);
        w.database().createSyncedDatabaseTable(new CreateSyncedDatabaseTableRequest()
                .setSyncedTable(new SyncedDatabaseTable().setName(name).setSpec(spec)));
        until(name + " is online", () -> w.database().getSyncedDatabaseTable(name)
                .getDataSynchronizationStatus().getDetailedState()
                == SyncedTableState.SYNCED_TABLE_ONLINE_NO_PENDING_UPDATE);
        w.database().deleteSyncedDatabaseTable(name);
        until(name + " is gone", () -> {
            try {
                w.database().getSyncedDatabaseTable(name);
                return false;
            } catch (NotFound gone) {
                return true;
            }
        });
        w.database().deleteDatabaseCatalog(catalog);
    }

    private boolean isMissing(String instance) {
        try {
            w.database().getDatabaseInstance(instance);
            return false;
        } catch (NotFound gone) {
            return true;
        }
    }

    private static void until(String what, Callable<Boolean> probe) throws Exception {
        var end = Instant.now().plus(DEADLINE);
        while (!probe.call()) {
            if (Instant.now().isAfter(end)) {
                throw new AssertionError(what + ": not within " + DEADLINE);
            }
            Thread.sleep(100);
        }
    }

    private static void expect(String what, Object seen, Object wanted) {
        if (!Objects.equals(seen, wanted)) {
            throw new AssertionError(what + ": " + seen + ", wanted " + wanted);
        }
    }
}
