import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.atomic.AtomicLong;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Apache RocketMQ's own client as fast as it goes: batches of 100 from one thread a queue, or pulls from one thread a
 * queue. Says "ready" when it knows the way, waits for a line, works, says "done COUNT", and stays until its input ends, so
 * that whoever started it can read what it has cost.
 */
public class RocketClient {
    static final int BATCH = 100;

    public static void main(String[] args) throws Exception {
        BufferedReader commands = new BufferedReader(new InputStreamReader(System.in));
        String mode = args[0], namesrv = args[1], topic = args[2];
        if (mode.equals("produce")) {
            produce(commands, namesrv, topic, Path.of(args[3]));
        } else {
            pull(commands, namesrv, topic, Long.parseLong(args[3]), Integer.parseInt(args[4]));
        }
        // The client's own threads are no reason to stay.
        System.exit(0);
    }

    interface Work {
        void on(MessageQueue queue, int index) throws Exception;
    }

    static void onEach(List<MessageQueue> queues, Work work) throws Exception {
        List<Thread> threads = new ArrayList<>();
        for (int index = 0; index < queues.size(); index++) {
            int own = index;
            Thread thread = new Thread(() -> {
                try {
                    work.on(queues.get(own), own);
                } catch (Exception failure) {
                    failure.printStackTrace();
                    System.exit(1);
                }
            });
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
    }

    static void tell(BufferedReader commands, String what) throws Exception {
        System.out.println(what);
        System.out.flush();
        commands.readLine();
    }

    static void produce(BufferedReader commands, String namesrv, String topic, Path file) throws Exception {
        DefaultMQProducer producer = new DefaultMQProducer("java-peer");
        producer.setNamesrvAddr(namesrv);
        producer.setSendMsgTimeout(60_000);
        producer.start();
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
        // Its memory holds the lines before the work begins: reading them is not what is measured.
        byte[] lines = Files.readAllBytes(file);
        int bytes = 0;
        while (lines[bytes] != '\n') {
            bytes++;
        }
        int body = bytes, stride = bytes + 1, count = lines.length / stride;
        AtomicLong sent = new AtomicLong();
        tell(commands, "ready");
        onEach(queues, (queue, index) -> {
            for (int first = index * BATCH; first < count; first += queues.size() * BATCH) {
                int end = Math.min(first + BATCH, count);
                List<Message> batch = new ArrayList<>(end - first);
                for (int line = first; line < end; line++) {
                    batch.add(new Message(topic, Arrays.copyOfRange(lines, line * stride, line * stride + body)));
                }
                producer.send(batch, queue);
                sent.addAndGet(batch.size());
            }
        });
        tell(commands, "done " + sent.get());
    }

    @SuppressWarnings("deprecation")
    static void pull(BufferedReader commands, String namesrv, String topic, long wanted, int most) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer("java-peer-" + System.nanoTime());
        consumer.setNamesrvAddr(namesrv);
        consumer.start();
        List<MessageQueue> queues = new ArrayList<>(consumer.fetchSubscribeMessageQueues(topic));
        AtomicLong got = new AtomicLong();
        tell(commands, "ready");
        onEach(queues, (queue, index) -> {
            long offset = 0;
            while (got.get() < wanted) {
                PullResult result = consumer.pull(queue, "*", offset, most);
                offset = result.getNextBeginOffset();
                if (result.getPullStatus() == PullStatus.FOUND) {
                    got.addAndGet(result.getMsgFoundList().size());
                } else if (offset >= result.getMaxOffset()) {
                    // All that there is: what is wanted was stored before this began.
                    return;
                }
            }
        });
        tell(commands, "done " + got.get());
    }
}
