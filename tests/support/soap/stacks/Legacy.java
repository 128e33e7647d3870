// Apache Axis 1.4, rpc/encoded: WSDL, answers (`multiRef`) and faults with stack traces are Axis's own.
import java.net.InetAddress;
import java.net.ServerSocket;
import java.util.ArrayList;
import java.util.Calendar;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.axis.AxisFault;
import org.apache.axis.transport.http.SimpleAxisServer;

public class Legacy {
  static final Map<String, Row> ROWS = new TreeMap<String, Row>();
  static String session;
  static int sessions;

  public static class Row implements java.io.Serializable {
    private String id, key, version, name, first;
    private String[] emails;
    private Calendar seen;
    private Double score;

    public String getId() { return id; }
    public void setId(String value) { id = value; }
    public String getKey() { return key; }
    public void setKey(String value) { key = value; }
    public String getVersion() { return version; }
    public void setVersion(String value) { version = value; }
    public String getName() { return name; }
    public void setName(String value) { name = value; }
    public String getFirst() { return first; }
    public void setFirst(String value) { first = value; }
    public String[] getEmails() { return emails; }
    public void setEmails(String[] value) { emails = value; }
    public Calendar getSeen() { return seen; }
    public void setSeen(Calendar value) { seen = value; }
    public Double getScore() { return score; }
    public void setScore(Double value) { score = value; }
  }

  public static class Saved implements java.io.Serializable {
    private String id;
    private boolean created;

    public String getId() { return id; }
    public void setId(String value) { id = value; }
    public boolean isCreated() { return created; }
    public void setCreated(boolean value) { created = value; }
  }

  static AxisFault fault(String code, String text) {
    return new AxisFault(code, text, null, null);
  }

  static void enter(String given) throws AxisFault {
    if (session == null || !session.equals(given)) throw fault("Client.SessionExpired", "The session has expired");
  }

  public synchronized String login(String user, String password) throws AxisFault {
    if (!"svc".equals(user) || !"s3cret&<>".equals(password)) throw fault("Client.Login", "Invalid login");
    session = "SID-" + ++sessions;
    return session;
  }

  public synchronized Saved upsert(String session, Row row) throws AxisFault {
    enter(session);
    if ("BAD".equals(row.getName())) throw fault("Client.BadName", "The name is bad");
    if ("DEADLOCK".equals(row.getName())) throw fault("Server.Deadlock", "Deadlock");
    if ("CRASH".equals(row.getName())) throw new NullPointerException("boom");
    Row before = ROWS.get(row.getKey());
    row.setId(before == null ? "R" + (ROWS.size() + 1) : before.getId());
    ROWS.put(row.getKey(), row);
    Saved saved = new Saved();
    saved.setId(row.getId());
    saved.setCreated(before == null);
    return saved;
  }

  public synchronized Row[] find(String session, String key) throws AxisFault {
    enter(session);
    List<Row> found = new ArrayList<Row>();
    for (Row row : ROWS.values()) if (key.isEmpty() || key.equals(row.getKey())) found.add(row);
    return found.toArray(new Row[0]);
  }

  public static void main(String[] arguments) throws Exception {
    SimpleAxisServer server = new SimpleAxisServer();
    server.setServerSocket(new ServerSocket(Integer.parseInt(arguments[0]), 50, InetAddress.getByName("127.0.0.1")));
    server.run();
  }
}
