import com.alibaba.fastjson2.JSON;
import com.alibaba.fastjson2.JSONObject;
import com.alibaba.fastjson2.JSONWriter;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Base64;
import java.util.Collection;
import java.util.List;
import java.util.TreeSet;
import org.apache.rocketmq.client.QueryResult;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Apache RocketMQ's own client as the other side in tests. Every answer is one JSON object a line on stdout.
 *
 * <pre>
 * Client produce NAMESRV TOPIC                 sends the messages on stdin, one JSON object a line
 * Client consume NAMESRV TOPIC COUNT SECONDS   prints COUNT messages from the first on, fails after SECONDS
 * Client group   NAMESRV TOPIC GROUP           consumes as a member of GROUP until stdin ends; prints what it was
 *                                              allocated at each change
 * Client key     NAMESRV TOPIC KEY             prints the messages that the broker's index has under a key
 * Client view    NAMESRV TOPIC UNIQ_KEY        prints the one message with a unique key
 * </pre>
 */
public final class Client {
    private static final PrintStream OUT = new PrintStream(System.out, true, StandardCharsets.UTF_8);

    public static void main(String[] args) {
        // The client's own threads keep a process alive, also after an error in this one.
        int code = 1;
        try {
            run(args);
            code = 0;
        } catch (Throwable error) {
            error.printStackTrace();
        }
        System.exit(code);
    }

    private static void run(String[] args) throws Exception {
        String command = args[0];
        String namesrv = args[1];
        String topic = args[2];
        switch (command) {
            case "produce" -> produce(namesrv, topic);
            case "consume" -> consume(namesrv, topic, Long.parseLong(args[3]), Long.parseLong(args[4]));
            case "group" -> group(namesrv, topic, args[3]);
            case "key" -> key(namesrv, topic, args[3]);
            case "view" -> view(namesrv, topic, args[3]);
            default -> throw new IllegalArgumentException(command);
        }
    }

    private static String unique(String what) {
        return what + "_" + ProcessHandle.current().pid() + "_" + System.nanoTime();
    }

    private static BufferedReader input() {
        return new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    }

    private static DefaultMQProducer producer(String namesrv) throws MQClientException {
        DefaultMQProducer producer = new DefaultMQProducer(unique("producer"));
        producer.setNamesrvAddr(namesrv);
        producer.setSendMsgTimeout(15_000);
        producer.start();
        return producer;
    }

    private static void produce(String namesrv, String topic) throws Exception {
        DefaultMQProducer producer = producer(namesrv);
        List<MessageQueue> queues = null;
        BufferedReader input = input();
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            JSONObject wanted = JSON.parseObject(line);
            Message message = new Message(topic, Base64.getDecoder().decode(wanted.getString("body")));
            if (wanted.containsKey("keys")) {
                message.setKeys(wanted.getString("keys"));
            }
            if (wanted.containsKey("tags")) {
                message.setTags(wanted.getString("tags"));
            }
            JSONObject properties = wanted.getJSONObject("properties");
            if (properties != null) {
                properties.forEach((name, value) -> message.putUserProperty(name, value.toString()));
            }
            SendResult sent;
            if (wanted.containsKey("queue")) {
                if (queues == null) {
                    queues = producer.fetchPublishMessageQueues(topic);
                }
                int queue = wanted.getIntValue("queue");
                sent = producer.send(message, queues.stream().filter(q -> q.getQueueId() == queue).findFirst().orElseThrow());
            } else {
                sent = producer.send(message);
            }
            print("msgId", sent.getMsgId(), "queueId", sent.getMessageQueue().getQueueId(), "queueOffset",
                sent.getQueueOffset(), "status", sent.getSendStatus().name());
        }
        producer.shutdown();
    }

    /**
     * A new group begins with the first message. Nothing seeks: a seek can meet a pull of its queue under way, which then
     * takes the wanted offset with it when it is cancelled, and the next pull goes on behind what was read before.
     */
    private static void consume(String namesrv, String topic, long count, long seconds) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(unique("reader"));
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommit(false);
        consumer.setPullBatchSize(1024);
        consumer.start();
        consumer.assign(consumer.fetchMessageQueues(topic));
        long end = System.nanoTime() + seconds * 1_000_000_000L;
        long seen = 0;
        while (seen < count && System.nanoTime() < end) {
            for (MessageExt message : consumer.poll(500)) {
                print(message);
                seen++;
            }
        }
        if (seen < count) {
            throw new IllegalStateException("only " + seen + " of " + count + " messages after " + seconds + " s");
        }
    }

    private static void group(String namesrv, String topic, String group) throws Exception {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        consumer.setNamesrvAddr(namesrv);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setAutoCommitIntervalMillis(1000);
        consumer.subscribe(topic, "*");
        consumer.start();
        Thread stdin = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {
                    // Only its end matters.
                }
            } catch (java.io.IOException gone) {
                // The same as its end.
            }
        });
        stdin.setDaemon(true);
        stdin.start();
        TreeSet<Integer> known = null;
        while (stdin.isAlive()) {
            TreeSet<Integer> allocated = new TreeSet<>();
            for (MessageQueue queue : assignment(consumer)) {
                allocated.add(queue.getQueueId());
            }
            if (!allocated.equals(known)) {
                known = allocated;
                print("clientId", consumer.buildMQClientId(), "queues", new ArrayList<>(allocated));
            }
            for (MessageExt message : consumer.poll(200)) {
                print(message);
            }
        }
        consumer.commit(); // its shutdown sends what was committed, and commits nothing itself
        consumer.shutdown();
    }

    private static Collection<MessageQueue> assignment(DefaultLitePullConsumer consumer) throws MQClientException {
        Collection<MessageQueue> queues = consumer.assignment();
        return queues == null ? List.of() : queues;
    }

    private static void key(String namesrv, String topic, String key) throws Exception {
        QueryResult found = producer(namesrv).queryMessage(topic, key, 64, 0, System.currentTimeMillis() + 60_000);
        found.getMessageList().forEach(Client::print);
    }

    private static void view(String namesrv, String topic, String uniqueKey) throws Exception {
        print(producer(namesrv).viewMessage(topic, uniqueKey));
    }

    private static void print(MessageExt message) {
        print("body", Base64.getEncoder().encodeToString(bodyOf(message)), "properties", message.getProperties(),
            "keys", message.getKeys(), "tags", message.getTags(), "queueId", message.getQueueId(), "queueOffset",
            message.getQueueOffset(), "msgId", message.getMsgId(), "sysFlag", message.getSysFlag(), "flag",
            message.getFlag(), "bornTimestamp", message.getBornTimestamp(), "storeSize", message.getStoreSize());
    }

    /** The Java client gives an empty body as null. */
    private static byte[] bodyOf(MessageExt message) {
        return message.getBody() == null ? new byte[0] : message.getBody();
    }

    private static void print(Object... pairs) {
        JSONObject line = new JSONObject();
        for (int i = 0; i < pairs.length; i += 2) {
            line.put((String) pairs[i], pairs[i + 1]);
        }
        OUT.println(JSON.toJSONString(line, JSONWriter.Feature.WriteMapNullValue));
    }
}
