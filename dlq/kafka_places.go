package dlq

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Earliest and latest are the times that Kafka knows as the beginning and the end of a partition.
const (
	kafkaEarliest = -2
	kafkaLatest   = -1
)

// bounds asks where each partition begins and ends now.
func (r *kafkaReader) bounds(ctx context.Context) (map[int32]span, error) {
	partitions, err := r.partitions(ctx)
	if err != nil {
		return nil, err
	}
	begins, err := r.offsets(ctx, partitions, kafkaEarliest)
	if err != nil {
		return nil, err
	}
	ends, err := r.offsets(ctx, partitions, kafkaLatest)
	if err != nil {
		return nil, err
	}
	spans := make(map[int32]span, len(partitions))
	for _, p := range partitions {
		spans[p] = span{begins[p], ends[p]}
	}
	return spans, nil
}

func (r *kafkaReader) partitions(ctx context.Context) (list []int32, err error) {
	request := kmsg.NewPtrMetadataRequest()
	topic := kmsg.NewMetadataRequestTopic()
	topic.Topic = &r.topic
	request.Topics = append(request.Topics, topic)
	reply, err := request.RequestWith(ctx, r.client)
	if err != nil {
		return nil, err
	}
	for _, t := range reply.Topics {
		if err := kerr.ErrorForCode(t.ErrorCode); err != nil {
			return nil, err
		}
		for _, p := range t.Partitions {
			list = append(list, p.Partition)
		}
	}
	return list, nil
}

// offsets asks for the offset at a time in each partition; the client asks each one's leader.
func (r *kafkaReader) offsets(ctx context.Context, partitions []int32, when int64) (map[int32]int64, error) {
	topic := kmsg.NewListOffsetsRequestTopic()
	topic.Topic = r.topic
	for _, p := range partitions {
		one := kmsg.NewListOffsetsRequestTopicPartition()
		one.Partition, one.Timestamp = p, when
		topic.Partitions = append(topic.Partitions, one)
	}
	request := kmsg.NewPtrListOffsetsRequest()
	request.Topics = append(request.Topics, topic)
	reply, err := request.RequestWith(ctx, r.client)
	if err != nil {
		return nil, err
	}
	offsets := make(map[int32]int64, len(partitions))
	for _, t := range reply.Topics {
		for _, p := range t.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return nil, fmt.Errorf("partition %d: %w", p.Partition, err)
			}
			offsets[p.Partition] = p.Offset
		}
	}
	return offsets, nil
}

// kafkaGap is how many records that nobody wants are read rather than skipped, because asking anew costs more.
const kafkaGap = 1000

// collect reads the letters at some places. Those removed from the topic meanwhile are not among them.
func (r *kafkaReader) collect(ctx context.Context, portion []found[kafkaPlace]) (map[kafkaPlace]*Letter, error) {
	wanted := make(map[kafkaPlace]bool, len(portion))
	offsets := map[int32][]int64{}
	for _, one := range portion {
		wanted[one.place] = true
		offsets[one.place.partition] = append(offsets[one.place.partition], one.place.offset)
	}
	letters := make(map[kafkaPlace]*Letter, len(portion))
	for _, spans := range rounds(offsets) {
		err := r.read(ctx, spans, func(record *kgo.Record) {
			if place := (kafkaPlace{record.Partition, record.Offset}); wanted[place] {
				letters[place], _ = readLetter(record.Value) // it could be read before
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return letters, nil
}

// rounds covers offsets with spans without large gaps. Each round has at most one span of each partition.
func rounds(offsets map[int32][]int64) (list []map[int32]span) {
	for p, wanted := range offsets {
		slices.Sort(wanted)
		round := 0
		for i := 0; i < len(wanted); round++ {
			s := span{wanted[i], wanted[i] + 1}
			for i++; i < len(wanted) && wanted[i]-s.until < kafkaGap; i++ {
				s.until = wanted[i] + 1
			}
			if round == len(list) {
				list = append(list, map[int32]span{})
			}
			list[round][p] = s
		}
	}
	return list
}
