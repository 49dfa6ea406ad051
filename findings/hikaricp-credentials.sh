#!/usr/bin/env bash
# HikariCP 7.0.2 (Maven: com.zaxxer:HikariCP) with `getCredentials` overridden in a HikariConfig.
#
# Seen on 2026-11-30: the override is never asked. `new HikariDataSource(config)` copies the configuration's
# fields into itself, and the pool asks the data source, so that each connection gets the credentials that the
# fields held at the start: with tokens that expire, logins fail after an hour, with no word of why. The same
# override in a HikariDataSource is asked for each connection, and so is `setCredentialsProvider`.
#
# Needs mvn and a JDK. Exits with 0 if that is still so, and with 1 if it has changed.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
cat >pom.xml <<'POM'
<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>finding</groupId>
  <artifactId>hikaricp</artifactId>
  <version>1</version>
  <dependencies>
    <dependency>
      <groupId>com.zaxxer</groupId>
      <artifactId>HikariCP</artifactId>
      <version>7.0.2</version>
    </dependency>
    <dependency>
      <groupId>com.h2database</groupId>
      <artifactId>h2</artifactId>
      <version>2.3.232</version>
    </dependency>
    <dependency>
      <groupId>org.slf4j</groupId>
      <artifactId>slf4j-nop</artifactId>
      <version>2.0.17</version>
    </dependency>
  </dependencies>
</project>
POM
cat >Finding.java <<'JAVA'
import com.zaxxer.hikari.*;
import com.zaxxer.hikari.util.Credentials;
import java.sql.Connection;

public class Finding {
    static int asked;

    static Credentials ask() {
        asked++;
        return Credentials.of("sa", "");
    }

    static int askedBy(HikariDataSource pool) throws Exception {
        for (int number = 0; number < 3; number++) {
            Connection connection = pool.getConnection();
            pool.evictConnection(connection);
            connection.close();
        }
        pool.close();
        int count = asked;
        asked = 0;
        return count;
    }

    public static void main(String[] arguments) throws Exception {
        String url = "jdbc:h2:mem:finding;DB_CLOSE_DELAY=-1";
        HikariConfig overridden = new HikariConfig() {
            @Override
            public Credentials getCredentials() {
                return ask();
            }
        };
        HikariDataSource source = new HikariDataSource() {
            @Override
            public Credentials getCredentials() {
                return ask();
            }
        };
        HikariConfig provided = new HikariConfig();
        provided.setCredentialsProvider(Finding::ask);
        for (HikariConfig config : new HikariConfig[] {overridden, source, provided}) {
            config.setJdbcUrl(url);
            config.setUsername("sa");
            config.setPassword("");
            config.setMaximumPoolSize(1);
        }
        System.out.println("HikariConfig.getCredentials overridden: asked " + askedBy(new HikariDataSource(overridden)));
        System.out.println("HikariDataSource.getCredentials overridden: asked at least 3 times: " + (askedBy(source) >= 3));
        System.out.println("setCredentialsProvider: asked at least 3 times: " + (askedBy(new HikariDataSource(provided)) >= 3));
    }
}
JAVA
mvn --quiet --batch-mode -Dstyle.color=never dependency:copy-dependencies -DoutputDirectory=lib
javac -cp 'lib/*' Finding.java
java -cp 'lib/*:.' Finding | tee seen
diff seen - <<'SEEN'
HikariConfig.getCredentials overridden: asked 0
HikariDataSource.getCredentials overridden: asked at least 3 times: true
setCredentialsProvider: asked at least 3 times: true
SEEN
