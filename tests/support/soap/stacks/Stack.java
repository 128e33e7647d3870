// JAX-WS RI with schema validation: /crm speaks SOAP 1.1, /crm12 1.2. Its classes are made by `wsimport` from stack.wsdl.
import java.util.*;
import java.util.concurrent.*;
import javax.jws.*;
import javax.xml.ws.*;
import javax.xml.ws.soap.*;
import stack.*;

public class Stack {
  static final String NS = "urn:example:stack:v1";
  static final Map<String, Contact> STORE = new ConcurrentHashMap<>();
  static final Set<String> SESSIONS = ConcurrentHashMap.newKeySet();

  static CrmFaultMsg fault(String text, String code, boolean retry) {
    CrmFault info = new CrmFault();
    info.setCode(code);
    info.setRetryable(retry);
    return new CrmFaultMsg(text, info);
  }

  public abstract static class Base implements CrmPort {
    @javax.annotation.Resource WebServiceContext context;

    static String textOf(com.sun.xml.ws.api.message.Header header) {
      StringBuilder text = new StringBuilder();
      try {
        javax.xml.stream.XMLStreamReader reader = header.readHeader();
        for (int depth = 0; ; reader.next()) {
          if (reader.isCharacters()) text.append(reader.getText());
          if (reader.isStartElement()) depth++;
          if (reader.isEndElement() && --depth == 0) return text.toString().trim();
        }
      } catch (javax.xml.stream.XMLStreamException broken) {
        return "";
      }
    }

    void auth() throws CrmFaultMsg {
      com.sun.xml.ws.api.message.HeaderList headers =
          (com.sun.xml.ws.api.message.HeaderList) context.getMessageContext().get("com.sun.xml.ws.api.message.HeaderList");
      com.sun.xml.ws.api.message.Header header = headers == null ? null : headers.get(NS, "Session", true);
      if (header == null) throw fault("No session header", "NO_SESSION", false);
      if (!SESSIONS.contains(textOf(header))) throw fault("Session expired", "SESSION_EXPIRED", true);
    }

    public String login(String user, String password) throws CrmFaultMsg {
      if (!"svc".equals(user) || !"s3cret&<>".equals(password)) throw fault("Invalid login", "INVALID_LOGIN", false);
      String session = UUID.randomUUID().toString();
      SESSIONS.add(session);
      return session;
    }

    public void upsertContact(String key, Contact contact, Holder<String> id, Holder<Boolean> created) throws CrmFaultMsg {
      auth();
      if ("DEADLOCK".equals(contact.getLastName())) throw fault("Deadlock", "DEADLOCK", true);
      if ("BAD".equals(contact.getLastName())) throw fault("Bad name", "BAD_NAME", false);
      if ("CRASH".equals(contact.getLastName())) throw new NullPointerException("boom");
      if ("EXPIRE".equals(contact.getLastName())) SESSIONS.clear();
      Contact before = STORE.get(key);
      created.value = before == null;
      id.value = before == null ? "C" + (STORE.size() + 1) : before.getId();
      contact.setId(id.value);
      contact.setExternalId(key);
      STORE.put(key, contact);
    }

    public void findContacts(String query, int offset, int limit, Holder<Integer> total, Holder<List<Contact>> found) throws CrmFaultMsg {
      auth();
      List<Contact> all = new ArrayList<>();
      for (Contact contact : STORE.values()) if (query.isEmpty() || query.equals(contact.getExternalId())) all.add(contact);
      total.value = all.size();
      found.value = all.subList(Math.min(offset, all.size()), Math.min(offset + limit, all.size()));
    }
  }

  @com.sun.xml.ws.developer.SchemaValidation
  @WebService(endpointInterface = "stack.CrmPort", serviceName = "Stack", portName = "CrmSoap11", targetNamespace = NS, wsdlLocation = "META-INF/wsdl/stack.wsdl")
  public static class Eleven extends Base {}

  @com.sun.xml.ws.developer.SchemaValidation
  @WebService(endpointInterface = "stack.CrmPort", serviceName = "Stack", portName = "CrmSoap12", targetNamespace = NS, wsdlLocation = "META-INF/wsdl/stack.wsdl")
  @BindingType(SOAPBinding.SOAP12HTTP_BINDING)
  public static class Twelve extends Base {}

  public static void main(String[] arguments) {
    String base = "http://127.0.0.1:" + arguments[0];
    Endpoint.publish(base + "/crm", new Eleven());
    Endpoint.publish(base + "/crm12", new Twelve());
    System.out.println("READY");
  }
}
